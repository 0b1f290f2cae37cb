#!/usr/bin/python3
"""browser.py NAME URL SCREENSHOT [FLAG...] - a real browser at the page of wsServer

Drives headless Chromium by its DevTools protocol, which is JSON over a WebSocket. Each
check starts where the one before it left the page. URL is the page's but for its
path; NAME stands before each check; the flags are for Chromium.
"""
import base64
import http.client
import json
import os
import subprocess
import sys
import tempfile

from checks import SLOW, becomes, check, checks, run, same
from raw import connect, request

COMMAND = ['chromium', '--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run',
           '--disable-dev-shm-usage', '--window-size=500,900', '--no-proxy-server',
           '--disable-background-networking', '--remote-debugging-port=0']
ENTER = {'key': 'Enter', 'text': '\r', 'windowsVirtualKeyCode': 13}
MARKUP = '<img src=x onerror="document.title=1"><b>bold</b>'


class Browser:
    def __init__(self, profile):
        """Takes hold of the browser's one tab. The profile says where it listens."""
        told = os.path.join(profile, 'DevToolsActivePort')
        becomes(True, lambda: os.path.exists(told) and os.path.getsize(told) > 0, told,
                60 * SLOW)
        with open(told) as f:
            address = '127.0.0.1:' + f.readline().strip()
        browser = http.client.HTTPConnection(address)
        browser.request('GET', '/json/list')
        tabs = json.load(browser.getresponse())
        tab, = (tab for tab in tabs if tab['type'] == 'page')
        self.ws = connect(address)
        line = '=GET /devtools/page/%s HTTP/1.1' % tab['id']
        self.ws.sock.sendall(request(address, line))
        self.ws.head()
        self.events = []

    def call(self, method, **params):
        self.ws.send(json.dumps({'id': 1, 'method': method, 'params': params}))
        while 'id' not in (answer := json.loads(self.ws.frame(60 * SLOW)[1])):
            self.events.append(answer)
        return answer['result']

    def script(self, script):
        answer = self.call('Runtime.evaluate', expression=script, returnByValue=True)
        return answer['result'].get('value')

    def click(self, name):
        self.script('document.getElementById("%s").click()' % name)

    def type(self, text):
        self.script('document.getElementById("text").focus()')
        self.call('Input.insertText', text=text)

    def state(self):
        return self.script('document.getElementById("state").textContent')

    def log(self, count=2):
        """The newest lines of the log, the oldest first."""
        lines = self.script('document.getElementById("log").innerText').split('\n')
        return lines[:count][::-1]


@check('the page opens and its WebSocket too')
def _(b, url, _):
    b.call('Log.enable')
    b.call('Runtime.enable')
    b.call('Page.enable')
    b.call('Page.addScriptToEvaluateOnNewDocument',
           source='Date.prototype.toLocaleTimeString = () => "TIME"')
    b.call('Page.navigate', url=url + '/')
    becomes('open', b.state)
    same(('wsServer', ['TIME open']), (b.script('document.title'), b.log(1)))
    same(url.replace('http', 'ws', 1) + '/ws', b.script('socket.url'))


@check('a typed message and its echo are in the log; Korean, by Enter; HTML, as text')
def _(b, *_):
    b.type('hello from a browser')
    b.click('send')
    becomes(['TIME → hello from a browser', 'TIME ← hello from a browser'], b.log)
    same(('', 'text'), (b.script('document.getElementById("text").value'),
                        b.script('document.activeElement.id')), 'the field, its focus')
    b.type('안녕하세요')
    b.call('Input.dispatchKeyEvent', type='keyDown', **ENTER)
    becomes(['TIME → 안녕하세요', 'TIME ← 안녕하세요'], b.log)
    b.type(MARKUP)
    b.click('send')
    becomes(['TIME → ' + MARKUP, 'TIME ← ' + MARKUP], b.log)
    same(0, b.script('document.querySelectorAll("#log b, #log img").length'))
    same('wsServer', b.script('document.title'))


@check('Close: the state and the log show 1000; Connect opens it again')
def _(b, *_):
    b.click('close')
    becomes('closed (1000: normal closure)', b.state)
    same(['TIME closed (1000: normal closure)'], b.log(1))
    same(True, b.script('document.getElementById("send").disabled'), 'Send is disabled')
    b.click('open')
    becomes('open', b.state)
    same(['TIME open'], b.log(1))


@check('a desktop and a phone: nothing is wider than the window; controls of a finger; '
       'nothing wrong on the console')
def _(b, _, screenshot):
    for width, height in ((1280, 800), (390, 844)):
        b.call('Emulation.setDeviceMetricsOverride', width=width, height=height,
               deviceScaleFactor=1, mobile=width < 500)
        same(True, b.script('document.documentElement.scrollWidth <= innerWidth'))
        same(True, b.script('[...document.querySelectorAll("input, button")].every('
                            'control => control.offsetHeight >= 40)'))
        with open('%s-%dx%d.png' % (screenshot, width, height), 'wb') as f:
            f.write(base64.b64decode(b.call('Page.captureScreenshot')['data']))
    same([], [event for event in b.events if event['method'] in (
        'Log.entryAdded', 'Runtime.exceptionThrown', 'Runtime.consoleAPICalled')])


def main():
    name, url, screenshot, *flags = sys.argv[1:]
    profile = tempfile.mkdtemp()  # the script removes all that is in $TMPDIR
    with subprocess.Popen([*COMMAND, *flags, '--user-data-dir=' + profile, 'about:blank'],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as chromium:
        try:
            return run(name, checks, Browser(profile), url, screenshot, at_once=1)
        finally:
            chromium.terminate()


if __name__ == '__main__':
    sys.exit(main())
