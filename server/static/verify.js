// Verifies a ledger entry in the browser, from what stands on its page: the leaf's form and hash, what it commits to,
// the way up to the root, the checkpoint over that root and the log key's signature (docs/formats.md has each format).
// Each step is one line: passed, failed, or unknown where the page does not show what it needs.
'use strict';

(() => {
  const entry = document.getElementById('entry');
  const form = document.getElementById('verify');
  const list = document.getElementById('checks');
  const verdict = document.getElementById('verdict');
  if (!entry || !form || !crypto.subtle) return; // without crypto.subtle the connection is no secure one
  form.hidden = false;

  const utf8 = (text) => new TextEncoder().encode(text);
  const join = (...parts) => Uint8Array.from(parts.flatMap((p) => [...p]));
  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest('SHA-256', join(...parts)));
  const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

  // Base64: standard with padding in proofs and notes, URL-safe without in leaves.
  function bytes(text, url) {
    const std = url ? text.replaceAll('-', '+').replaceAll('_', '/') + '='.repeat((4 - text.length % 4) % 4) : text;
    const out = Uint8Array.from(atob(std), (c) => c.charCodeAt(0));
    if (base64(out, url) !== text) throw new Error('not base64 in its one form');
    return out;
  }

  function base64(raw, url) {
    const std = btoa(String.fromCharCode(...raw));
    return url ? std.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '') : std;
  }

  const b64 = (raw) => base64(raw, true);

  class Failed extends Error {}
  const fail = (why) => { throw new Failed(why); };
  const unknown = (why) => ({ unknown: why });

  // parseLeaf reads the six lines.
  function parseLeaf(text) {
    const lines = text.split('\n');
    if (lines.length !== 7 || lines[6] !== '' || lines[0] !== 'sallyport.ledger/v1') fail('these are not the six lines of a leaf');
    return { kind: lines[1], facts: lines[4], person: lines[5] };
  }

  // parseProof reads a C2SP tlog-proof without extra line.
  function parseProof(text) {
    const at = text.indexOf('\n\n');
    const lines = text.slice(0, at).split('\n');
    if (at < 0 || lines[0] !== 'c2sp.org/tlog-proof@v1' || !/^index (0|[1-9][0-9]{0,15})$/.test(lines[1] || '')) fail('this is no proof');
    return { index: Number(lines[1].slice(6)), path: lines.slice(2).map((l) => bytes(l)), checkpoint: text.slice(at + 2) };
  }

  // parseCheckpoint reads a signed note: what is signed, and the signatures.
  function parseCheckpoint(note) {
    const at = note.lastIndexOf('\n\n');
    const signed = note.slice(0, at + 1);
    const lines = signed.split('\n');
    if (at < 0 || lines.length < 4 || !/^(0|[1-9][0-9]{0,15})$/.test(lines[1])) fail('this is no checkpoint');
    const signatures = note.slice(at + 2).split('\n').filter((l) => l).map((l) => {
      const [dash, name, sig] = l.split(' ');
      if (dash !== '\u2014' || !sig) fail('a line under the checkpoint is no signature');
      return { name, raw: bytes(sig) };
    });
    return { origin: lines[0], size: Number(lines[1]), root: bytes(lines[2]), signed, signatures };
  }

  // rootOf goes up from a leaf's hash (RFC 9162, 2.1.3.2).
  async function rootOf(hash, index, size, path) {
    let fn = index;
    let sn = size - 1;
    let r = hash;
    for (const p of path) {
      if (sn === 0) fail('the way is longer than the tree is high');
      if (fn % 2 === 1 || fn === sn) {
        r = await sha256([1], p, r);
        while (fn % 2 === 0 && fn !== 0) {
          fn = Math.floor(fn / 2);
          sn = Math.floor(sn / 2);
        }
      } else {
        r = await sha256([1], r, p);
      }
      fn = Math.floor(fn / 2);
      sn = Math.floor(sn / 2);
    }
    if (sn !== 0) fail('the way ends before the root');
    return r;
  }

  // parseKey reads a C2SP verifier key: name+hash+base64(1 || Ed25519 key).
  async function parseKey(vkey) {
    const parts = vkey.split('+');
    const name = parts[0];
    const id = parts[1];
    const raw = bytes(parts.slice(2).join('+'));
    if (raw.length !== 33 || raw[0] !== 1) fail('the log key is no Ed25519 key of a log');
    const hash = (await sha256(utf8(name + '\n'), raw)).slice(0, 4);
    if ([...hash].map((x) => x.toString(16).padStart(2, '0')).join('') !== id) fail('the log key is damaged: its hash is another');
    return { name, hash, key: raw.slice(1) };
  }

  async function commitment(domain, salt, text, wants, what) {
    if (wants === '-') return text ? fail(`the leaf commits to no ${what}, and some stands here`) : `the leaf has no ${what}`;
    if (!text) return unknown(`the ${what} stands not on this page`);
    const got = b64(await sha256(utf8(domain + '\n'), bytes(salt, true), utf8(text)));
    if (got !== wants) fail(`the ${what} is not what the leaf commits to: it makes ${got}`);
    return `salt and ${what} make ${got}, as line ${what === 'facts' ? 5 : 6} says`;
  }

  async function signature(check, vkey) {
    const key = await parseKey(vkey);
    if (check.origin !== key.name) fail(`the checkpoint is of ${check.origin}, the key of ${key.name}`);
    const sig = check.signatures.find((s) => s.name === key.name && same(s.raw.slice(0, 4), key.hash));
    if (!sig) fail('the log key has not signed the checkpoint');
    let imported;
    try {
      imported = await crypto.subtle.importKey('raw', key.key, { name: 'Ed25519' }, false, ['verify']);
    } catch {
      return unknown('this browser has no Ed25519; sally ledger show checks it');
    }
    if (!await crypto.subtle.verify({ name: 'Ed25519' }, imported, sig.raw.slice(4), utf8(check.signed))) fail('the signature does not hold');
    return 'the log key has signed the checkpoint';
  }

  // steps are run in order; each may use what those before it found.
  function steps(data, vkey, own) {
    const found = {};
    return [
      ['leaf', async () => { found.leaf = parseLeaf(data.leaf); return `six lines, of kind ${found.leaf.kind}`; }],
      ['leaf hash', async () => { found.hash = await sha256([0], utf8(data.leaf)); return b64(found.hash); }],
      ['facts', async () => commitment('sallyport.facts/v1', data.factsSalt, data.facts, found.leaf.facts, 'facts')],
      ['person part', async () => commitment('sallyport.person/v1', data.personSalt, data.person, found.leaf.person, 'person part')],
      ['proof', async () => {
        found.proof = parseProof(data.proof);
        found.checkpoint = parseCheckpoint(found.proof.checkpoint);
        if (found.proof.index !== Number(data.index)) fail(`it is for entry ${found.proof.index}`);
        if (found.proof.index >= found.checkpoint.size) fail('the checkpoint is of a ledger without this entry');
        return `for entry ${found.proof.index}, ${found.proof.path.length} hashes`;
      }],
      ['root', async () => {
        const root = await rootOf(found.hash, found.proof.index, found.checkpoint.size, found.proof.path);
        if (!same(root, found.checkpoint.root)) fail(`the way leads to ${base64(root)}, the checkpoint says ${base64(found.checkpoint.root)}`);
        return `the way leads to ${base64(root)}, as the checkpoint of ${found.checkpoint.size} entries says`;
      }],
      ['signature', async () => {
        const out = await signature(found.checkpoint, vkey);
        return typeof out === 'string' ? out + (own ? ' that you gave' : ' that this server names') : out;
      }],
    ];
  }

  function line(name, result, text) {
    const li = document.createElement('li');
    li.className = result;
    const strong = document.createElement('strong');
    strong.textContent = `${name}, ${result}: `;
    li.append(strong, document.createTextNode(text));
    list.append(li);
  }

  async function run() {
    const own = document.getElementById('log-key').value.trim().replace(/^log /, '');
    list.replaceChildren();
    list.hidden = false;
    let open = 0;
    for (const [name, check] of steps(entry.dataset, own || entry.dataset.logKey, Boolean(own))) {
      try {
        const out = await check();
        if (typeof out === 'string') {
          line(name, 'passed', out);
        } else {
          open++;
          line(name, 'unknown', out.unknown);
        }
      } catch (e) {
        line(name, 'failed', e instanceof Failed ? e.message : 'it can\'t be read');
        return `It does not verify: ${name} failed. Keep this page and tell whoever gave you the pin file.`;
      }
    }
    return open ? `It verifies, as far as it is shown: ${open} unknown.` : 'It verifies.';
  }

  form.addEventListener('submit', async (e) => {
    e.preventDefault();
    e.stopPropagation();
    verdict.textContent = '';
    verdict.textContent = await run();
  });
})();
