#!/usr/bin/env python3
"""Recovers a Lifeboat repository (format version 1) without Lifeboat.

    recover.py verify REPO                         is this copy whole, and who signed it? (no key)
    recover.py key SHARE... [--repo REPO]          the age identity, for a pipe: recover.py key ... | age -d -i - FILE
    recover.py extract REPO --share SHARE... --json           every value, one JSON line each, on stdout
    recover.py extract REPO --share SHARE... --out DIR        every value as a file (0600)

SHARE is a text file with one or more shares; - reads them from standard input. Shares are never arguments.
Needs Python 3.8, and for extract the programs age and zstd; ssh-keygen checks the signatures.
The formats are described in docs/format.md of the Lifeboat source. Python cannot wipe memory: use a machine that
is offline and is wiped afterwards.
"""
import argparse, base64, hashlib, hmac, json, os, re, shutil, subprocess, sys, tempfile
from urllib.parse import quote

ALPHABET = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


def stop(message):
    sys.exit("recover.py: " + message)


def note(message):
    print(message, file=sys.stderr)


# ---- text: bech32 and the codex32 checksum -------------------------------------------------------------------------

def polymod(values, generator, bits):
    residue = 1
    for value in values:
        top = residue >> bits
        residue = (residue & ((1 << bits) - 1)) << 5 ^ value
        for i, term in enumerate(generator):
            if top >> i & 1:
                residue ^= term
    return residue


def expanded(prefix):
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def bech32(prefix, data):
    number, length = int.from_bytes(data, "big"), -(-len(data) * 8 // 5)
    number <<= length * 5 - len(data) * 8
    values = [number >> 5 * i & 31 for i in reversed(range(length))]
    generator = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    check = polymod(expanded(prefix) + values + [0] * 6, generator, 25) ^ 1
    return prefix + "1" + "".join(ALPHABET[v] for v in values + [check >> 5 * i & 31 for i in range(5, -1, -1)]).lower()


def share_checksum_holds(body):
    """The regular code of codex32 (BIP-93) with the prefix lb."""
    generator = (0x19DC500CE73FDE210, 0x1BFAE00DEF77FE529, 0x1FBD920FFFE7BEE52, 0x1739640BDEEE3FDAD, 0x07729A039CFC75F5A)
    values = [ALPHABET.find(c) for c in body]
    return len(body) == 87 and -1 not in values and polymod(expanded("lb") + values, generator, 60) == 0x10CE0795C2FD1E62A


def row_checks(number, row):
    """Reed-Solomon over GF(32): row number, characters and two checks are a multiple of (x + 2)(x + 4)."""
    def times(a, b):
        product = 0
        for i in range(5):
            product ^= (a << i) * (b >> i & 1)
        for i in range(8, 4, -1):
            product ^= (0b101001 << (i - 5)) * (product >> i & 1)
        return product
    high = low = 0
    values = [number] + [ALPHABET.find(c) for c in row]
    if -1 in values:
        return "a letter that the alphabet avoids"
    for value in values:
        lead = value ^ high
        high, low = low ^ times(lead, 2 ^ 4), times(lead, times(2, 4))
    return ALPHABET[high] + ALPHABET[low]


# ---- shares --------------------------------------------------------------------------------------------------------

def letters(text):
    return re.sub(r"[^A-Z0-9]", "", text.upper())


def rows_of(text):
    """Lines that may be typed rows, as (number or 0, characters, check or ""): 1: QQQQ QQQQ ... = XX"""
    row = r"^[^A-Za-z0-9\n]*(?:([1-4])[ \t]*[:.)]?[ \t]+)?([A-Za-z0-9][A-Za-z0-9 \t]*?)[ \t]*(?:=[ \t]*([A-Za-z0-9]{2}))?\s*$"
    return [(int(n or 0), letters(row), check.upper()) for n, row, check in re.findall(row, text, re.M)]


def shares_in(text, origin):
    """Every share of a text, as (head, x, y, fingerprint)."""
    bodies = [letters(text[m.end():])[:87] for m in re.finditer("LB1", text, re.I)]
    rows = rows_of(text)
    for at in range(len(rows) - 3):
        four = rows[at:at + 4]
        numbered = sorted(row[0] for row in four) == [1, 2, 3, 4]
        bodies.append("".join(row[1] for row in (sorted(four) if numbered else four)))
    good = sorted({body for body in bodies if share_checksum_holds(body)})
    if not good:
        bad = [str(n) for n, row, check in rows
               if n and check and (row_checks(n, row) != check or len(row) != (15 if n == 4 else 24))]
        stop(f"{origin}: no share found" + (f"; look at row {', '.join(bad)} again" if bad else " (LB1 and 87 characters)"))
    return [share_fields(body, origin) for body in good]


def share_fields(body, origin):
    number = 0
    for c in body[:74]:
        number = number << 5 | ALPHABET.index(c)
    if number & 3:
        stop(f"{origin}: not a share (padding)")
    data = (number >> 2).to_bytes(46, "big")
    k, n, x = data[1:4]
    if data[0] != 0x10:
        stop(f"{origin}: a share of another version")
    if not (2 <= k <= n and 1 <= x <= n):
        stop(f"{origin}: not a share ({k} of {n}, number {x})")
    return {"head": data[:3] + data[4:8] + data[40:], "k": k, "x": x, "y": data[8:40], "set": data[4:8],
            "fingerprint": data[40:], "sha256": hashlib.sha256(data).hexdigest(), "origin": origin}


def gf_times(a, b):
    product = 0
    while b:
        product ^= a * (b & 1)
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def gf_inverse(a):
    result = 1
    for _ in range(254):
        result = gf_times(result, a)
    return result


def combined(shares, at=0):
    """Lagrange interpolation in GF(2^8), polynomial 0x11d; addition is xor."""
    result = bytearray(32)
    for one in shares:
        weight = 1
        for other in shares:
            if other is not one:
                weight = gf_times(weight, gf_times(at ^ other["x"], gf_inverse(one["x"] ^ other["x"])))
        for i in range(32):
            result[i] ^= gf_times(weight, one["y"][i])
    return bytes(result)


def recovered_key(sources):
    """The 32 bytes, proven to be the key the shares name, and the shares."""
    shares = {}
    for source in sources:
        if source == "-" and sys.stdin.isatty():
            note("Type or scan the shares, then press Ctrl-D on a new line.")
        text = sys.stdin.read() if source == "-" else open(source, encoding="utf-8", errors="replace").read()
        for share in shares_in(text, "standard input" if source == "-" else source):
            first = next(iter(shares.values()), share)
            if share["head"] != first["head"]:
                stop(f"{share['origin']} and {first['origin']} are of different share sets "
                     f"({share['set'].hex().upper()}, {first['set'].hex().upper()})")
            if shares.setdefault(share["x"], share)["y"] != share["y"]:
                stop(f"{share['origin']} and {shares[share['x']]['origin']} differ but have one number: one is forged")
    shares = [shares[x] for x in sorted(shares)]
    if not shares or len(shares) < shares[0]["k"]:
        stop(f"have {len(shares)} of {shares[0]['k'] if shares else '?'} shares")
    base, surplus = shares[:shares[0]["k"]], shares[shares[0]["k"]:]
    key = combined(base)
    if fingerprint(root_public(key), x25519_public(key)) != shares[0]["fingerprint"]:
        stop("the shares do not give the key they name: at least one is not genuine; try others")
    wrong = [share["origin"] for share in surplus if combined(base, share["x"]) != share["y"]]
    if wrong:
        note("not genuine, and not needed: " + ", ".join(wrong))
    return key, shares


# ---- the public halves of the key ----------------------------------------------------------------------------------

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P


def x25519_public(key):
    """RFC 7748 with base point 9."""
    k = int.from_bytes(key, "little") & ((1 << 254) - 8) | 1 << 254
    x2, z2, x3, z3 = 1, 0, 9, 1
    for i in range(254, -1, -1):
        bit = k >> i & 1
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        x3, z3, x2 = (da + cb) ** 2 % P, 9 * (da - cb) ** 2 % P, aa * bb % P
        z2 = (aa - bb) * (aa + 121665 * (aa - bb)) % P
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def root_public(key):
    """Ed25519 (RFC 8032) of the seed HKDF-SHA-256(key, no salt, "lifeboat/v1/root-signing")."""
    extracted = hmac.new(bytes(32), key, hashlib.sha256).digest()
    seed = hmac.new(extracted, b"lifeboat/v1/root-signing\x01", hashlib.sha256).digest()
    scalar = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little") & ((1 << 254) - 8) | 1 << 254

    def add(p, q):
        a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
        c, d = 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
        e, f, g, h = b - a, d - c, d + c, b + a
        return e * f % P, g * h % P, f * g % P, e * h % P

    gy = 4 * pow(5, P - 2, P) % P
    gx = 15112221349535400772501151409588531511454012693041857206046113283949847762202
    total, point = (0, 1, 1, 0), (gx, gy, 1, gx * gy % P)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    inverse = pow(total[2], P - 2, P)
    x, y = total[0] * inverse % P, total[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def fingerprint(root, recipient):
    return hashlib.sha256(root + recipient).digest()[:6]


def ssh_public(raw):
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", raw))
    return "ssh-ed25519 " + base64.b64encode(blob).decode()


# ---- the repository ------------------------------------------------------------------------------------------------

class Repository:
    def __init__(self, folder, root, without_signatures):
        self.folder, self.faults, self.signatures = folder, [], not without_signatures
        if without_signatures:
            note("WARNING: no signature is checked: anyone may have written these files")
        elif not shutil.which("ssh-keygen"):
            stop("ssh-keygen is not installed (Debian: apt install openssh-client); it checks who wrote these files")
        self.identity = self.parsed("lifeboat.json")
        if not self.identity or self.identity.get("version") != 1:
            stop(f"{folder} is not a Lifeboat repository of format version 1")
        self.epochs = self.trusted_epochs(root)
        if not self.epochs:
            stop("no key epoch here belongs to this key: " + "; ".join(self.faults))
        self.manifests = self.chain()

    def read(self, name):
        try:
            with open(os.path.join(self.folder, *name.split("/")), "rb") as file:
                return file.read()
        except FileNotFoundError:
            self.faults.append(f"{name} is missing")

    def parsed(self, name):
        data = self.read(name)
        try:
            return data and json.loads(data)
        except ValueError:
            self.faults.append(f"{name} is not JSON")

    def has(self, parsed, *fields):
        """Whether a file has these fields, the numbers among them being numbers."""
        content, name = parsed
        numbers = {"version", "number", "sequence", "epoch"}
        fits = isinstance(content, dict) and all(f in content and (f not in numbers or type(content[f]) is int) for f in fields)
        if content is not None and not fits:
            self.faults.append(f"{name} is not of format version 1")
        return fits

    def names(self, folder):
        path = os.path.join(self.folder, folder)
        return sorted(f"{folder}/{name}" for name in (os.listdir(path) if os.path.isdir(path) else []) if name.endswith(".json"))

    def signed_by(self, name, key, namespace):
        if not self.signatures:
            return True
        with tempfile.NamedTemporaryFile("w", suffix=".allowed_signers") as allowed:
            allowed.write(f'lifeboat namespaces="{namespace}" {key}\n')
            allowed.flush()
            command = ["ssh-keygen", "-Y", "verify", "-f", allowed.name, "-I", "lifeboat", "-n", namespace,
                       "-s", os.path.join(self.folder, *(name + ".sig").split("/"))]
            verdict = subprocess.run(command, input=self.read(name), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if verdict.returncode:
            self.faults.append(f"{name} is not signed by {key}")
        return verdict.returncode == 0

    def trusted_epochs(self, root):
        """Epochs of the root, and those their `previous` leads to. Without a root: every one that its own root signed."""
        found, named = {}, {}
        numbered = [(self.parsed(name), name) for name in self.names("epochs")]
        numbered = [e for e in numbered if self.has(e, "version", "repository", "number", "root", "recipient", "signers")]
        for epoch, name in sorted(numbered, key=lambda e: -e[0]["number"]):
            digest = hashlib.sha256(self.read(name)).hexdigest()
            if epoch["version"] != 1 or name != f"epochs/{epoch['number']}.json" or epoch["repository"] != self.identity["repository"]:
                self.faults.append(f"{name} is of another version, number or repository")
            elif (root in (None, epoch["root"]) or named.get(epoch["number"]) == digest) and self.signed_by(name, epoch["root"], "lifeboat-epoch"):
                found[epoch["number"]] = epoch
                if epoch.get("previous"):
                    named[epoch["previous"]["number"]] = epoch["previous"]["sha256"]
        return found

    def forgotten(self):
        """The digests of forgotten snapshots and of those before them, by sequence number."""
        records, undone = [], set()
        for record, name in [(self.parsed(name), name) for name in self.names("forgotten")]:
            if not self.has((record, name), "version", "repository", "snapshots", "epoch", "signer"):
                continue
            signers = [signer["key"] for signer in self.epochs.get(record["epoch"], {"signers": []})["signers"]]
            if record["version"] != 1 or record["repository"] != self.identity["repository"] or record["signer"] not in signers:
                self.faults.append(f"{name} is of another version, repository or signer")
            elif self.signed_by(name, record["signer"], "lifeboat-forget"):
                undone.add(record.get("undoes"))
                records.append((record, hashlib.sha256(self.read(name)).hexdigest()))
        return {s["sequence"]: (s["manifest"], s["previous"]) for r, digest in records if digest not in undone for s in r["snapshots"]}

    def chain(self):
        """Verified manifests by sequence number."""
        found, epoch, last, digest, gone = [], 0, 0, None, self.forgotten()
        manifests = [(self.parsed(name), name) for name in self.names("snapshots")]
        manifests = [m for m in manifests if self.has(m, "version", "repository", "sequence", "epoch", "signer", "packs", "indexes", "time", "snapshot")]
        for manifest, name in sorted(manifests, key=lambda m: (m[0]["sequence"], m[1])):
            if manifest["version"] != 1 or manifest["repository"] != self.identity["repository"]:
                self.faults.append(f"{name} is of another version or repository")
                continue
            signers = [signer["key"] for signer in self.epochs.get(manifest["epoch"], {"signers": []})["signers"]]
            if manifest["signer"] not in signers or manifest["epoch"] < epoch:
                self.faults.append(f"{name} names a signer that may not sign for epoch {manifest['epoch']}")
            elif name != f"snapshots/{re.sub('[-:]', '', str(manifest['time']))}-{str(manifest['snapshot'])[:8]}.json":
                self.faults.append(f"{name} has the name of another snapshot")
            elif self.signed_by(name, manifest["signer"], "lifeboat-manifest"):
                while manifest["sequence"] != last + 1 and gone.get(last + 1, ("", ""))[1] == digest:
                    last, digest = last + 1, gone[last + 1][0]
                if manifest["sequence"] != last + 1:
                    self.faults.append(f"{name} has number {manifest['sequence']} after {last}: snapshots were removed or doubled")
                elif manifest["previous"] != digest:
                    self.faults.append(f"{name} does not follow the snapshot before it")
                epoch, last, digest = manifest["epoch"], manifest["sequence"], hashlib.sha256(self.read(name)).hexdigest()
                found.append((manifest, name))
        return found

    def check_files(self):
        files = {(f"packs/{f['sha256'][:2]}/{f['sha256']}.age", f["sha256"], f["size"]) for m, _ in self.manifests for f in m["packs"]}
        files |= {(f"indexes/{f['sha256']}.age", f["sha256"], f["size"]) for m, _ in self.manifests for f in m["indexes"]}
        for name, sha256, size in sorted(files):
            data = self.read(name)
            if data is not None and (len(data) != size or hashlib.sha256(data).hexdigest() != sha256):
                self.faults.append(f"{name} is damaged")
        return len(files)

    def chosen(self, wanted):
        fitting = [m for m in self.manifests if wanted == "latest" or m[0]["snapshot"].startswith(wanted.lower())]
        if not fitting or (wanted != "latest" and len(fitting) > 1):
            stop(f"no single verified snapshot {wanted}" + "".join("\n  " + fault for fault in self.faults))
        return fitting[-1]

    def opened(self, name, sha256, identity):
        """The lines of a pack or index: age -d, then zstd -d. The identity goes through a pipe."""
        data = self.read(name)
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            stop(f"{name} is missing or damaged: use another copy")
        age = subprocess.Popen(["age", "-d", "-i", "-", os.path.join(self.folder, *name.split("/"))],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        zstd = subprocess.Popen(["zstd", "-d", "-q", "-c"], stdin=age.stdout, stdout=subprocess.PIPE)
        age.stdout.close()
        age.stdin.write(identity.encode() + b"\n")
        age.stdin.close()
        plain = zstd.communicate()[0]
        if age.wait() or zstd.returncode:
            stop(f"{name} does not open")
        return [json.loads(line) for line in plain.split(b"\n")[:-1]]


# ---- commands ------------------------------------------------------------------------------------------------------

def verify(arguments):
    repository = Repository(arguments.repo, arguments.root, arguments.without_signatures)
    files = repository.check_files()
    for number, epoch in sorted(repository.epochs.items()):
        print(f"epoch {number}: {epoch['threshold']} of {epoch['total']} shares, set {epoch['share_set'].upper()}, root {epoch['root']}")
    print(f"{len(repository.manifests)} snapshots, {files} packs and indexes")
    if repository.manifests:
        newest = repository.manifests[-1][0]
        print(f"newest: {newest['snapshot'][:8]}, number {newest['sequence']}, {newest['time']}")
    if not arguments.root:
        print("Give --root, from a config or an earlier report, to be sure whose signatures these are; shares bring it along.")
    report(repository)


def report(repository):
    for fault in repository.faults:
        note("FAULT: " + fault)
    if repository.faults:
        sys.exit(6)


def identity_of(arguments):
    key, shares = recovered_key(arguments.share)
    repository = None
    if arguments.repo:
        repository = Repository(arguments.repo, ssh_public(root_public(key)), arguments.without_signatures)
        recipient = bech32("age", x25519_public(key))
        mine = [e for e in repository.epochs.values() if e["recipient"] == recipient and e["root"] == ssh_public(root_public(key))]
        if not mine:
            stop("the key is not this repository's")
        digests = {custodian["sha256"] for epoch in mine for custodian in epoch["custodians"]}
        for share in shares:
            if share["sha256"] not in digests:
                note(f"{share['origin']} is not in the register of custodians")
    return bech32("age-secret-key-", key).upper(), repository


def key(arguments):
    identity, _ = identity_of(arguments)
    if sys.stdout.isatty():
        stop("the identity opens everything: send it into a pipe, such as | age -d -i - FILE")
    print(identity)


def extract(arguments):
    for program in ("age", "zstd"):
        if not shutil.which(program):
            stop(f"{program} is not installed (Debian: apt install age zstd)")
    identity, repository = identity_of(arguments)
    manifest, name = repository.chosen(arguments.snapshot)
    note(f"{name}: number {manifest['sequence']} of {manifest['time']}, {manifest['source']['account']} {manifest['source']['region']}")
    records = [r for f in manifest["indexes"] for r in repository.opened(f"indexes/{f['sha256']}.age", f["sha256"], identity)]
    wanted, count = {}, 0
    for record in records:
        for version in record["versions"]:
            if version["value"]["state"] == "stored":
                wanted.setdefault(version["value"]["pack"], []).append((record["secret"], version))
    for sha256, references in sorted(wanted.items()):
        lines = repository.opened(f"packs/{sha256[:2]}/{sha256}.age", sha256, identity)
        for secret, version in references:
            place = version["value"]
            line = lines[place["line"]] if place["line"] < len(lines) else {}
            if (line.get("secret"), line.get("version")) != (secret["id"], version["id"]) or place["kind"] not in line:
                stop(f"packs/{sha256}: line {place['line']} is not the value that the index names")
            deliver(arguments, secret, version, line[place["kind"]])
            count += 1
    if arguments.out:
        write(os.path.join(arguments.out, "records.jsonl"), "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records).encode())
    counts = manifest["counts"]
    note(f"{count} values of {len(records)} secrets; {counts['values_absent']} versions have no value, "
         f"{counts['values_unreadable']} could not be read when the snapshot was made")
    report(repository)


def deliver(arguments, secret, version, value):
    kind = version["value"]["kind"]
    if arguments.json:
        print(json.dumps({"name": secret["name"], "secret": secret["id"], "version": version["id"],
                          "labels": version["labels"], kind: value}, ensure_ascii=False))
    else:
        data = value.encode() if kind != "bytes" else base64.b64decode(value, validate=True)
        write(os.path.join(arguments.out, file_name(secret["name"]), file_name(version["id"])), data)


def file_name(name):
    short = quote(name, safe="").replace(".", "%2E")
    return short if len(short) <= 200 else short[:160] + "~" + hashlib.sha256(name.encode()).hexdigest()[:16]


def write(path, data):
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("verify")
    one.add_argument("repo")
    one.add_argument("--root", help="the root key to believe, 'ssh-ed25519 AAAA...'")
    one = commands.add_parser("key")
    one.add_argument("share", nargs="+")
    one.add_argument("--repo")
    one = commands.add_parser("extract")
    one.add_argument("repo")
    one.add_argument("--share", nargs="+", required=True)
    one.add_argument("--snapshot", default="latest", help="the beginning of a snapshot id; the newest by number otherwise")
    way = one.add_mutually_exclusive_group(required=True)
    way.add_argument("--json", action="store_true")
    way.add_argument("--out")
    for one in commands.choices.values():
        one.add_argument("--without-signatures", action="store_true", help="believe whoever wrote these files")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(encoding="utf-8")
    try:
        {"verify": verify, "key": key, "extract": extract}[arguments.command](arguments)
    except BrokenPipeError:
        os._exit(1)
    except OSError as error:
        stop(f"{error.filename or 'a file'}: {error.strerror}")


if __name__ == "__main__":
    main()
