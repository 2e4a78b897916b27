#!/usr/bin/env python3
"""Reads envelopes with libxml2 (lxml) and with castile's reader, and compares every value.

    cargo build --example facts
    tests/differential/envelopes.py --facts target/debug/examples/facts DIR..

Walks the directories for files whose root is a SOAP envelope. Of each path the reader reports, in the order of end tags, the
first eight values that are not empty and the first that is; values of more than 4,096 bytes count as empty. Envelopes with
multirefs are compared by their attributes only, since libxml2 does not follow references.
"""
import argparse
import json
import os
import subprocess
import sys

from lxml import etree

SOAP = {
    "http://schemas.xmlsoap.org/soap/envelope/": "V11",
    "http://www.w3.org/2003/05/soap-envelope": "V12",
}
ENC12 = "http://www.w3.org/2003/05/soap-encoding"
WSA = [
    "http://www.w3.org/2005/08/addressing",
    "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "http://schemas.xmlsoap.org/ws/2004/03/addressing",
    "http://schemas.xmlsoap.org/ws/2003/03/addressing",
]
SPACE = " \t\r\n"


def is_element(node):
    return isinstance(node.tag, str)


def post_order(node):
    for child in node:
        if is_element(child):
            yield from post_order(child)
            yield child


def children(node):
    return [child for child in node if is_element(child)]


def texts(nodes):
    return [node.xpath("string()") for node in nodes]


def levels(part, depth):
    """Elements at this depth below a part, in the order of their end tags."""
    found = [part]
    for _ in range(depth):
        found = [child for node in found for child in children(node)]
    return found


def attributes(nodes, name=None):
    return [value for node in nodes for key, value in node.attrib.items() if name is None or key == name]


def pre_order(part):
    return [node for node in part.iter() if node is not part and is_element(node)]


def wsa(local):
    return lambda part: texts(node for node in children(part) if etree.QName(node).localname == local
                              and etree.QName(node).namespace in WSA)


def where(part, test):
    return texts(node for node in post_order(part) if test(node))


def text_of(node, tag):
    return [child.xpath("string()").strip(SPACE) for child in children(node) if child.tag == tag]


# Each path and what libxml2 says of it.
PATHS = {
    "header *": lambda part: texts(levels(part, 1)),
    "header *:*/*": lambda part: texts(levels(part, 2)),
    "header **": lambda part: texts(post_order(part)),
    "header **/@*": lambda part: attributes(pre_order(part)),
    "header */@*": lambda part: attributes(levels(part, 1)),
    "header wsa:Action": wsa("Action"),
    "header wsa:MessageID": wsa("MessageID"),
    "header wsa:To": wsa("To"),
    "header wsa:ReplyTo/wsa:Address": lambda part: texts(
        inner for node in children(part) if etree.QName(node).localname == "ReplyTo" and etree.QName(node).namespace in WSA
        for inner in children(node) if etree.QName(inner).localname == "Address" and etree.QName(inner).namespace in WSA),
    "header *[@wsa5:IsReferenceParameter='true']": lambda part: texts(
        node for node in children(part) if node.get("{%s}IsReferenceParameter" % WSA[0], "").strip(SPACE) == "true"),
    "body *": lambda part: texts(levels(part, 1)),
    "body */*": lambda part: texts(levels(part, 2)),
    "body */*/*:*": lambda part: texts(levels(part, 3)),
    "body **": lambda part: texts(post_order(part)),
    "body **/@*": lambda part: attributes(pre_order(part)),
    "body **/@id": lambda part: attributes(pre_order(part), "id"),
    "body **/*:*e*": lambda part: where(part, lambda node: "e" in etree.QName(node).localname),
    "body **/*[name='x']": lambda part: where(part, lambda node: "x" in text_of(node, "name")),
    "body **/return": lambda part: where(part, lambda node: node.tag == "return"),
    "body */**/*": lambda part: texts(
        node for child in children(part) for node in post_order(child)),
}


def bounded(values):
    kept, full, empty = [], 0, False
    for value in values:
        value = value.strip(SPACE)
        if len(value.encode()) > 4096:
            value = ""
        if value and full < 8:
            full += 1
            kept.append(value)
        elif not value and not empty:
            empty = True
            kept.append(value)
    return kept


def parts(root):
    """The first Header before the Body, and the first Body."""
    namespace = etree.QName(root).namespace
    header = body = None
    for child in children(root):
        if child.tag == "{%s}Header" % namespace and header is None and body is None:
            header = child
        if child.tag == "{%s}Body" % namespace and body is None:
            body = child
    return header, body


def has_multirefs(root):
    return any(is_element(node) and (node.get("href", "").startswith("#") or node.get("{%s}ref" % ENC12))
               for node in root.iter())


def depth(node):
    return 1 + max((depth(child) for child in children(node)), default=0)


def collect(directories):
    for directory in directories:
        for base, _, names in os.walk(directory):
            for name in sorted(names):
                path = os.path.join(base, name)
                with open(path, "rb") as file:
                    content = file.read()
                if b"Envelope" in content or b"E\0n\0v\0e\0l\0o\0p\0e" in content:
                    yield path, content


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--facts", default="target/debug/examples/facts")
    options.add_argument("--cut", action="store_true", help="also cut every message at every byte")
    options.add_argument("--show", type=int, default=20, help="differences to print")
    options.add_argument("directories", nargs="+")
    options = options.parse_args()
    files = dict(collect(options.directories))
    command = [options.facts, "--operation", "-n", "wsa5=" + WSA[0]]
    for uri in WSA:
        command += ["-n", "wsa=" + uri]
    for path in PATHS:
        command += ["-p", path]
    if options.cut:
        command.append("--cut")
    result = subprocess.run(command, input="\n".join(files) + "\n", text=True, stdout=subprocess.PIPE, check=True)
    count = dict.fromkeys(["files", "envelopes", "values", "dtd", "not well-formed, both", "not well-formed, libxml2 only",
                           "not soap", "multirefs", "unread", "differences", "cuts"], 0)
    shown = 0

    def differs(file, what, ours, theirs):
        nonlocal shown
        count["differences"] += 1
        shown += 1
        if shown <= options.show:
            print(f"{file}: {what}\n  castile {str(ours)[:300]}\n  libxml2 {str(theirs)[:300]}")

    for line in result.stdout.splitlines():
        facts = json.loads(line)
        file, stop = facts["file"], facts["stop"]
        count["files"] += 1
        count["cuts"] += facts["cuts"]
        if facts["cuts"]:
            differs(file, "cuts", facts["cuts"], 0)
        try:
            parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
            root = etree.fromstring(files[file], parser)
        except (etree.XMLSyntaxError, ValueError):
            count["not well-formed, both" if "Malformed" in stop else "not well-formed, libxml2 only"] += 1
            continue
        if root.getroottree().docinfo.internalDTD is not None:
            count["dtd"] += 1
            if stop != "Stopped(Dtd)":
                differs(file, "DTD", stop, "has one")
            continue
        if etree.QName(root).localname != "Envelope" or etree.QName(root).namespace not in SOAP:
            count["not soap"] += 1
            if stop != "Stopped(NotSoap)":
                differs(file, "root", stop, root.tag)
            continue
        count["envelopes"] += 1
        if facts["version"] != SOAP[etree.QName(root).namespace]:
            differs(file, "version", facts["version"], root.tag)
        if depth(root) > 64:
            count["unread"] += 1
            if "Limit" not in stop:
                differs(file, "depth", stop, depth(root))
            continue
        if stop != "Stopped(Decided)":
            differs(file, "stop", stop, "well-formed")
            continue
        header, body = parts(root)
        multirefs = has_multirefs(root)
        count["multirefs"] += multirefs
        first = next(iter(children(body)), None) if body is not None else None
        child = None if first is None else [etree.QName(first).namespace or "", etree.QName(first).localname]
        if facts["child"] != child:
            differs(file, "first Body child", facts["child"], child)
        for path, say in PATHS.items():
            if multirefs and "@" not in path:
                continue
            part = header if path.startswith("header") else body
            theirs = bounded(say(part)) if part is not None else []
            ours = [value for value, _ in facts["found"][path]]
            count["values"] += len(theirs)
            if ours != theirs:
                differs(file, path, ours, theirs)
    print(json.dumps(count, indent=1))
    sys.exit(count["differences"] > 0)


if __name__ == "__main__":
    main()
