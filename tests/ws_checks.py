"""ws_checks.py - checks that are functions: @check('what') registers one, run() runs all
at once, since most of their time is waiting, and prints a line for each."""
import concurrent.futures
import os
import sys
import traceback

checks = []


def check(what):
    def register(function):
        checks.append((what, function))
        return function
    return register


class Wrong(Exception):
    """What came is not what had to come."""


class Skip(Exception):
    """What this build or machine cannot show."""


def same(want, got, what=''):
    if want != got:
        raise Wrong('%sexpected: %.500r\n    got:      %.500r' %
                    (what and what + ': ', want, got))


def can(word):
    """Skips the check where TEST_WITHOUT names the word."""
    if word in os.environ.get('TEST_WITHOUT', '').split():
        raise Skip('TEST_WITHOUT names %s' % word)


def within(least, most, seconds, what):
    if not least <= seconds <= most:
        raise Wrong('%s after %.2f s, not %g to %g s' % (what, seconds, least, most))


def run(name, *args):
    """Runs every check with the arguments. Returns the exit status."""
    def attempt(one):
        try:
            one[1](*args)
            return None
        except Skip as why:
            return why
        except Exception as why:
            if type(why).__name__ == 'Wrong':
                return str(why)
            return traceback.format_exc(limit=-3).replace('\n', '\n    ')
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(checks)) as pool:
        for (what, _), why in zip(checks, pool.map(attempt, checks)):
            if why is None:
                print('ok %s: %s' % (name, what))
            elif isinstance(why, Skip):
                print('skip %s: %s (%s)' % (name, what, why))
            else:
                print('FAIL %s: %s\n    %s' % (name, what, why))
                failed += 1
            sys.stdout.flush()
    return failed > 0
