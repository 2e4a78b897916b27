#!/usr/bin/env python3
"""A SOAP client with a cookie jar. usage: client.py URL [op ...]

  next login logout url   call that operation
  follow                  call next at the URL which 'url' answered (the ;jsessionid= form), without any cookie
  other                   call next in the webapp /other, whose sessions count apart

Exits 0 only if the counter went 1, 2, 3, ... over all calls, in each webapp."""
import http.cookiejar
import re
import sys
import urllib.error
import urllib.request

ENVELOPE = ('<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">'
            '<soap:Body><c:%s xmlns:c="urn:lab:counter"/></soap:Body></soap:Envelope>')


def call(opener, url, op):
    request = urllib.request.Request(url, (ENVELOPE % op).encode(), {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'})
    try:
        answer = opener.open(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.read().decode()


def main():
    url, ops = sys.argv[1], sys.argv[2:]
    cookies = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    bare, rewritten, want, bad = urllib.request.build_opener(), None, {}, 0
    for i, op in enumerate(ops, 1):
        if i > 1:
            sys.stdin.readline()        # a test may hold it here
        app = "/other" if op == "other" else "/ws"
        want[app] = want.get(app, 0) + 1
        if op == "follow":
            status, body = call(bare, rewritten, "next")
        else:
            status, body = call(cookies, f"{url}{app}/counter", "next" if op == "other" else op)
        count, link = re.search(r"<c:count>(\d+)", body), re.search(r"<c:url>([^<]*)", body)
        fault = re.search(r"<faultstring[^>]*>([^<]*)", body)
        if link:
            rewritten = link.group(1)
        if status != 200:
            print(f"call {i} failed: status {status}, Fault: {fault.group(1) if fault else 'none'}", flush=True)
            bad = 1
        else:
            got = want[app] if link else int(count.group(1))
            print(f"call {i} -> {got if app == '/ws' else 'other'}", flush=True)
            bad |= got != want[app]
    return bad


sys.exit(main())
