#!/usr/bin/env python3
"""Checks Sallyport's ledger vectors with Python's standard library alone.

usage: check_vector.py leaves.json log.json ../certproof/testdata/certificate.json ../../sshcert/testdata/keys.json

It recomputes leaf hashes, commitments, inclusion paths (the Merkle part) and the
bytes of a certificate that its leaf refers to.
It checks no signature: neither the checkpoint's nor a certificate's.
"""
import base64
import hashlib
import json
import sys


def need(true, what):
    if not true:
        sys.exit("refused: " + what)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64(raw):  # RFC 4648 section 5, unpadded
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def leaf_hash(text):
    return sha256(b"\0", text.encode())


def path_root(index, size, node, path):
    """RFC 9162 section 2.1.3.2: the root that an inclusion path leads to."""
    need(0 <= index < size, "index outside the tree")
    last = size - 1
    for sibling in path:
        need(last > 0, "path too long")
        if index & 1 or index == last:
            node = sha256(b"\1", sibling, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = sha256(b"\1", node, sibling)
        index, last = index >> 1, last >> 1
    need(last == 0, "path too short")
    return node


def check_opening(domain, opening, line):
    want = b64(sha256(domain.encode() + b"\n", unb64(opening["salt"]), opening["json"].encode()))
    need(want == opening["commitment"] == line, domain + " does not open")


def check_proof(text, leaf):
    """Checks a C2SP tlog-proof for a leaf; returns its index and extra data."""
    head, origin_size_root, _ = text.split("\n\n")
    lines = head.split("\n")
    need(lines.pop(0) == "c2sp.org/tlog-proof@v1", "not a proof")
    extra = base64.b64decode(lines.pop(0)[6:]) if lines[0].startswith("extra ") else b""
    index = int(lines.pop(0)[len("index "):])
    _, size, root = origin_size_root.split("\n")
    got = path_root(index, int(size), leaf_hash(leaf), [base64.b64decode(l) for l in lines])
    need(got == base64.b64decode(root), "leaf %d is not under the root" % index)
    return index, extra


# How many strings a key consists of, behind its type's name.
KEY_PARTS = {b"ssh-ed25519": 1, b"ssh-rsa": 2, b"ecdsa-sha2-nistp256": 2, b"ecdsa-sha2-nistp384": 2, b"ecdsa-sha2-nistp521": 2,
             b"sk-ssh-ed25519": 2, b"sk-ecdsa-sha2-nistp256": 3}


def split_certificate(wire):
    """Returns TBS, proof and serial of a certificate (PROTOCOL.certkeys)."""
    def string(raw):
        return len(raw).to_bytes(4, "big") + raw

    def take(raw, n=None):  # n bytes, or a string
        if n is None:
            n, raw = int.from_bytes(raw[:4], "big"), raw[4:]
        return raw[:n], raw[n:]

    name, suffix, _ = take(wire)[0].partition(b"-cert-v01@openssh.com")
    need(suffix and name in KEY_PARTS, "certificate of another type")
    rest, fields = wire, []
    for n in (None, None) + (None,) * KEY_PARTS[name] + (8, 4, None, None, 8, 8, None, None, None, None):
        field, rest = take(rest, n)
        fields.append(field if n else string(field))
    extensions, kept, proof = fields[-3][4:], b"", b""
    while extensions:
        name, extensions = take(extensions)
        data, extensions = take(extensions)
        if name == b"ledger-proof@sallyport":
            proof = take(data)[0]
        else:
            kept += string(name) + string(data)
    fields[-3] = string(kept)
    return b"".join(fields), proof, int.from_bytes(fields[-10], "big")


def check(v):
    checked = 0
    for leaf in v.get("leaves", []):
        lines = leaf["text"].split("\n")
        want = ["sallyport.ledger/v1", leaf["kind"], leaf["lineage"], leaf["reference"]]
        need(lines[:4] == want and lines[6:] == [""], "leaf text")
        check_opening("sallyport.facts/v1", leaf["facts"], lines[4])
        if lines[5] != "-":
            check_opening("sallyport.person/v1", leaf["person"], lines[5])
        need(b64(leaf_hash(leaf["text"])) == leaf["hash"], "leaf hash")
        checked += 1
    for proof in v.get("proofs", []):
        want = (proof["index"], unb64(proof.get("extra", "")))
        need(check_proof(proof["text"], proof["leaf"]) == want, "index and extra data")
        checked += 1
    for key in v.get("accepted_keys", []):
        tbs, _, _ = split_certificate(base64.b64decode(key["certificate"].split()[1]))
        need(tbs == unb64(key["tbs"]) and b64(sha256(tbs)) == key["reference"], "TBS for a key of type " + key["type"])
        checked += 1
    if "tbs" in v:  # a certificate
        lines = v["leaf"].split("\n")
        index, extra = check_proof(v["proof"], v["leaf"])
        need(lines[1] == "certificate.issue" and lines[5] == "-", "leaf of another kind")
        tbs, proof, serial = split_certificate(base64.b64decode(v["certificate"].split()[1]))
        need(tbs == unb64(v["tbs"]) and proof == v["proof"].encode(), "TBS or embedded proof")
        need(lines[3] == b64(sha256(tbs)), "the leaf refers to another certificate")
        need(extra == unb64(lines[2]) + unb64(lines[4]), "extra data")
        need(serial == v["serial"] == v["index"] + 1 == index + 1, "serial")
        check_opening("sallyport.facts/v1", v["facts"], lines[4])
        checked += 1
    need(checked, "nothing to check")
    return checked


need(sys.argv[1:], "no vector file named")
print("ok: %d checked" % sum(check(json.load(open(name, encoding="utf-8"))) for name in sys.argv[1:]))
