"""checks.py - what a check is made of, and the run that prints a line for each"""
import concurrent.futures
import os
import time
import traceback

SLOW = int(os.environ.get('TEST_SLOW', '1'))
DEADLINE = 10 * SLOW

checks = []


class Wrong(Exception):
    """The result is not the expected one."""


class Skip(Exception):
    """What this build or machine cannot show."""


def check(what):
    """Registers the function below it as a check."""
    def register(function):
        checks.append((what, function))
        return function
    return register


def same(want, got, what=''):
    if want != got:
        raise Wrong('%sexpected: %.500r\n    got:      %.500r' %
                    (what and what + ': ', want, got))


def becomes(want, get, what='', seconds=DEADLINE):
    """Waits until the function gives this."""
    deadline = time.monotonic() + seconds
    while (got := get()) != want and time.monotonic() < deadline:
        time.sleep(0.01)
    same(want, got, what)


def can(word):
    """Skips the check where TEST_WITHOUT names the word."""
    if word in os.environ.get('TEST_WITHOUT', '').split():
        raise Skip('TEST_WITHOUT names %s' % word)


def not_before(since, seconds, what):
    """A busy machine may make a thing late, but never early."""
    passed = time.monotonic() - since
    if passed < seconds:
        raise Wrong('%s after %.2f s, not %g s' % (what, passed, seconds))


def attempt(function, args):
    """Returns how the check went: ok, skip or FAIL, and why."""
    try:
        function(*args)
        return 'ok', ''
    except Skip as why:
        return 'skip', ' (%s)' % why
    except Wrong as why:
        return 'FAIL', '\n    %s' % why
    except Exception:
        return 'FAIL', '\n    ' + traceback.format_exc(limit=-3).replace('\n', '\n    ')


def run(name, jobs, *args, at_once=100):
    """Runs the jobs, (what, function), some of them at once, and prints a line for each.
    Returns the exit status."""
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        results = pool.map(lambda job: attempt(job[1], args), jobs)
        for (what, _), (how, why) in zip(jobs, results):
            print('%s %s: %s%s' % (how, name, what, why), flush=True)
            failed |= how == 'FAIL'
    return failed
