#!/usr/bin/python3
"""ws_browser.py ADDRESS SCREENSHOT - a real browser at the page of wsServer

Drives headless Chromium through chromedriver (the W3C's WebDriver, JSON over HTTP).
"""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

from ws_checks import Wrong, same

SLOW = int(os.environ.get('TEST_SLOW', '1'))
ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp()
        self.driver = subprocess.Popen(['chromedriver', '--port=0'], text=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)
        self.session = None
        for line in self.driver.stdout:
            if found := re.search(r'started successfully on port (\d+)', line):
                self.base = 'http://127.0.0.1:%s/session' % found.group(1)
                break
        else:
            raise Wrong('chromedriver does not start')

    def open(self):
        arguments = ['--headless=new', '--no-sandbox', '--disable-gpu',
                     '--disable-dev-shm-usage', '--window-size=500,900', '--no-first-run',
                     '--disable-background-networking', '--no-proxy-server',
                     '--user-data-dir=' + self.profile]
        wanted = {'browserName': 'chrome', 'goog:chromeOptions': {'args': arguments},
                  'goog:loggingPrefs': {'browser': 'ALL'}}
        answer = self.call('POST', '', {'capabilities': {'alwaysMatch': wanted}})
        self.session = answer['sessionId']

    def call(self, method, path, body=None):
        url = self.base + ('/' + self.session if self.session else '') + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {'Content-Type': 'application/json'},
                                         method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=60 * SLOW) as answer:
            return json.load(answer)['value']

    def element(self, selector):
        found = self.call('POST', '/element', {'using': 'css selector', 'value': selector})
        return '/element/' + found[ELEMENT]

    def click(self, selector):
        self.call('POST', self.element(selector) + '/click', {})

    def type(self, selector, text):
        self.call('POST', self.element(selector) + '/value', {'text': text})

    def text(self, selector):
        return self.call('GET', self.element(selector) + '/text')

    def script(self, script):
        return self.call('POST', '/execute/sync', {'script': script, 'args': []})

    def becomes(self, what, value, seconds=10):
        """Waits until the function gives the value."""
        deadline = time.monotonic() + seconds * SLOW
        while what() != value and time.monotonic() < deadline:
            time.sleep(0.05)
        same(value, what())

    def close(self):
        try:
            if self.session:
                self.call('DELETE', '')
        finally:
            self.driver.terminate()
            self.driver.wait()
            shutil.rmtree(self.profile, ignore_errors=True)


def main(address, screenshot):
    failed = 0

    def check(what, function):
        nonlocal failed
        try:
            function()
            print('ok wsServer: browser: ' + what)
        except Exception as why:
            failed += 1
            print('FAIL wsServer: browser: %s\n    %s' % (what, why if isinstance(why, Wrong)
                                                          else repr(why)))

    def log():
        """The log's lines without their times, the oldest first."""
        lines = b.script('return [...document.querySelectorAll("#log > *")]'
                         '.map(e => e.textContent).reverse()')
        times = [re.match(r'\S*\d\d?:\d\d:\d\d\S*(\s[AP]M)? ', line) for line in lines]
        if not all(times):
            raise Wrong('a line of the log without its time: %r' % lines)
        return [line[t.end():] for line, t in zip(lines, times)]

    def state():
        return b.text('#state')

    def opened():
        b.call('POST', '/url', {'url': 'http://%s/' % address})
        b.becomes(state, 'open')
        same('wsServer', b.call('GET', '/title'))
        same(['open'], log())

    def sent():
        b.type('#text', 'hello from a browser')
        b.click('#send')
        b.becomes(log, ['open', '→ hello from a browser', '← hello from a browser'])
        same('', b.script('return document.getElementById("text").value'), 'the field')

    def entered():
        b.type('#text', '안녕하세요\ue007')
        b.becomes(lambda: log()[3:], ['→ 안녕하세요', '← 안녕하세요'])

    def markup():
        b.type('#text', '<img src=x onerror="document.title=1"><b>bold</b>')
        b.click('#send')
        b.becomes(lambda: log()[5:], ['→ <img src=x onerror="document.title=1"><b>bold</b>',
                                      '← <img src=x onerror="document.title=1"><b>bold</b>'])
        same(0, b.script('return document.querySelectorAll("#log b, #log img").length'))
        same('wsServer', b.call('GET', '/title'))

    def binary():
        b.click('#binary')
        b.becomes(lambda: log()[7:], ['→ 4 bytes', '← 4 bytes'])

    def burst():
        b.click('#burst')
        b.becomes(lambda: sorted(log()[9:]),
                  sorted('%s message %d' % (way, i) for way in '→←' for i in range(1, 101)))
        same(['← message %d' % i for i in range(1, 101)],
             [line for line in log()[9:] if line[0] == '←'], 'the order')

    def phone():
        size = b.script('return [document.documentElement.scrollWidth, innerWidth]')
        if size[0] > size[1]:
            raise Wrong('the page is %d wide in a window of %d' % tuple(size))

    def closed():
        b.click('#close')
        b.becomes(lambda: state().split()[0], 'closed')
        if '1000' not in state():
            raise Wrong('the state shows no code: %r' % state())
        if not re.match(r'closed\W+1000', log()[-1]):
            raise Wrong('the log shows no code: %r' % log()[-1])
        same([True] * 4, b.script('return ["send", "binary", "burst", "close"]'
                                  '.map(id => document.getElementById(id).disabled)'))

    def again():
        b.click('#open')
        b.becomes(state, 'open')
        same('open', log()[-1])

    def kept():
        with open(screenshot, 'wb') as f:
            f.write(base64.b64decode(b.call('GET', '/screenshot')))
        if os.path.getsize(screenshot) < 5000:
            raise Wrong('a picture of %d bytes' % os.path.getsize(screenshot))

    def quiet():
        lines = [entry['message'] for entry in b.call('POST', '/se/log', {'type': 'browser'})
                 if 'favicon' not in entry['message']]
        same([], lines)

    b = Browser()
    try:
        b.open()
        check('the page opens and its WebSocket too', opened)
        check('a typed message and its echo are in the log, with times', sent)
        check('Enter sends too, Korean comes back', entered)
        check('what comes is text, never HTML', markup)
        check('the binary message', binary)
        check('the screenshot', kept)
        check('the burst of 100 messages, in order', burst)
        check('nothing is wider than the window', phone)
        check('Close: the state and the log show 1000', closed)
        check('Connect opens it again', again)
        check('nothing is wrong on the console', quiet)
    finally:
        b.close()
    return failed > 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
