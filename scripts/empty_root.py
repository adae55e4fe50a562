#!/usr/bin/env python3
"""Starts a release in an empty root: no libraries, no shell, no /etc, no /dev, no certificates, no time zones.

empty_root.py FILE

There it tells its version, plays the demo, reads typed sheets and PDF sheets, checks a repository, and restores into its own
sandbox, whose name a DNS server resolves and which is reached by TLS. A build without the feature paper makes no sheets: it says
so, and reads typed ones alone. It needs root, or user namespaces. RUNNER names a static program that starts files of another
processor, such as qemu-aarch64-static.
"""

import fcntl
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
FIXTURE = HOME / "tests/fixtures/repositories/v1"
# The oldest that is still in use anywhere: RHEL 7's.
NEWEST_GLIBC = (2, 17)
HOST = "secrets.lifeboat.test"
INSIDE = "LIFEBOAT_INSIDE_EMPTY_ROOT"


def fail(text):
    sys.exit(f"empty root: {text}")


def loads_nothing(file):
    """No interpreter and no libraries, or symbols of an old glibc alone."""
    tables = subprocess.run(["readelf", "-lWd", file], check=True, capture_output=True, text=True).stdout
    if "INTERP" not in tables and "(NEEDED)" not in tables:
        return "it loads nothing"
    symbols = subprocess.run(["objdump", "-T", file], check=True, capture_output=True, text=True).stdout
    versions = {tuple(map(int, word[len("(GLIBC_"):].rstrip(")").split("."))) for word in symbols.split() if word.startswith("(GLIBC_2")}
    newest = max(versions, default=(0,))
    if newest > NEWEST_GLIBC:
        fail(f"it needs glibc {'.'.join(map(str, newest))}")
    return f"newest symbol of glibc: {'.'.join(map(str, newest))}"


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        request = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(own, 0x8913, request))[1]
        fcntl.ioctl(own, 0x8914, struct.pack("16sh", b"lo", flags | 1))


def serve_names():
    """Answers every question for an A record with 127.0.0.1, every other one with nothing."""
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.bind(("127.0.0.1", 53))
    asked = []

    def answer():
        while True:
            question, peer = own.recvfrom(512)
            end = question.index(0, 12) + 5
            kind = struct.unpack(">H", question[end - 4:end - 2])[0]
            labels, at = [], 12
            while question[at]:
                labels.append(question[at + 1:at + 1 + question[at]].decode())
                at += 1 + question[at]
            asked.append(".".join(labels))
            record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01" if kind == 1 else b""
            head = question[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, 1 if record else 0, 0, 0)
            own.sendto(head + question[12:end] + record, peer)

    threading.Thread(target=answer, daemon=True).start()
    return asked


def serve_tls(folder, upstream):
    """Ends TLS for HOST and passes everything to the sandbox."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    run = lambda *words: subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)
    run("req", "-x509", *key, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    run("req", "-new", *key, "-subj", "/CN=leaf", "-keyout", "leaf.key", "-out", "leaf.csr")
    (folder / "names").write_text(f"subjectAltName=DNS:{HOST}")
    run("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "leaf.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
    listener = socket.create_server(("127.0.0.1", 443))

    # The sandbox answers to its own address only.
    own = "host: {}:{}".format(*upstream).encode()

    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data.replace(b"host: " + HOST.encode(), own))
        except OSError:
            pass
        finally:
            try:
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def one(plain):
        try:
            secure = context.wrap_socket(plain, server_side=True)
            behind = socket.create_connection(upstream)
        except OSError:
            return
        threading.Thread(target=pump, args=(secure, behind), daemon=True).start()
        pump(behind, secure)

    def accept():
        while True:
            threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def inside(file):
    loopback_up()
    with tempfile.TemporaryDirectory(prefix="lifeboat-empty-root-") as name:
        root, outside = Path(name) / "root", Path(name) / "outside"
        root.mkdir()
        outside.mkdir()
        shutil.copy2(file, root / "lifeboat")
        program = ["/lifeboat"]
        if os.environ.get("RUNNER"):
            shutil.copy2(os.environ["RUNNER"], root / "runner")
            program = ["/runner", "/lifeboat"]
        shutil.copytree(FIXTURE, root / "v1")
        environment = {"AWS_ACCESS_KEY_ID": "222222222222", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true",
                       "TZ": "Europe/Berlin"}

        def enter():
            os.chroot(root)
            os.chdir("/")

        def start(*words, **more):
            try:
                return subprocess.Popen([*program, *words], preexec_fn=enter, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment | more)
            except OSError as error:
                fail(f"{file} does not start: {error.strerror}; is it for another processor? RUNNER names what starts it")

        def run(code, says, *words, **more):
            ran = start(*words, **more)
            out, err = ran.communicate(timeout=300)
            if ran.returncode != code or says not in out + err:
                fail(f"lifeboat {' '.join(words)} ended with {ran.returncode} (expected {code} and {says!r}):\n{out}{err}")
            print(f"  {' '.join(words)[:100]}: {code}")
            return out

        features = run(0, "features: ", "--version").split("features: ")[1].splitlines()[0].split()
        makes_sheets = "paper" in features
        if makes_sheets:
            run(0, "all equal", "demo")
        else:
            run(2, "the feature paper is missing", "demo")
        sandbox = start("sandbox", "--listen", "127.0.0.1:0", "--json")
        try:
            endpoint = json.loads(sandbox.stdout.readline())["endpoint"]
            sheets = [word for number in (1, 2, 3) for word in ("--share", f"/v1/sheet-{number}.txt")]
            own = {"AWS_ENDPOINT_URL": endpoint}
            run(0, "values", "check", "--repo", "/v1/repository", "--depth", "values", *sheets)
            restore = ["restore", "--repo", "/v1/repository", "--yes", "--account", "222222222222", "--include", "app/db", "--include", "app/key", *sheets]
            run(0, "all equal", *restore, "--to", "aws:eu-west-1", **own)
            if makes_sheets:
                # A repository with sheets on paper.
                custodians = [word for name in ("Ana", "Bo", "Cy") for word in ("--custodian", name)]
                run(0, "", "init", "--repo", "repository", "--source", "aws:eu-west-1", "--threshold", "2", "--sheets", "sheets", "--yes", *custodians, **own)
                run(0, "", "snapshot", **own)
                pages = ["--share", "sheets/01-ana.pdf", "--share", "sheets/03-cy.pdf"]
                run(0, "all equal", "restore", "--to", "aws:eu-north-1", "--yes", *pages, **own)
            # By name and TLS. Without an authority there is a sentence; nothing is trusted that nobody named.
            host, port = endpoint.removeprefix("http://").split(":")
            asked = serve_names()
            serve_tls(outside, (host, int(port)))
            (root / "etc").mkdir()
            (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
            shutil.copy(outside / "ca.pem", root / "ca.pem")
            by_name = {"AWS_ENDPOINT_URL": f"https://{HOST}"}
            run(1, "certificate", *restore, "--to", "aws:us-east-1", **by_name)
            run(0, "all equal", *restore, "--to", "aws:us-east-1", **by_name, AWS_CA_BUNDLE="/ca.pem")
            if HOST not in asked:
                fail("no name was asked for")
        finally:
            sandbox.kill()
            sandbox.wait()
        left = sorted(path.name for path in root.iterdir())
        print(f"  in the root: {' '.join(left)}")


def main():
    if len(sys.argv) != 2:
        fail("say which file")
    file = str(Path(sys.argv[1]).resolve())
    if not Path(file).is_file():
        fail(f"{sys.argv[1]} is no file: run scripts/release first")
    runner = os.environ.get("RUNNER")
    if runner and not Path(runner).is_file():
        fail(f"RUNNER={runner} is no file: install qemu-user-static, or say where it is")
    for program in ("readelf", "objdump", "openssl", "unshare"):
        if not shutil.which(program):
            fail(f"{program} is missing: install binutils, openssl and util-linux")
    if os.environ.get(INSIDE):
        inside(file)
        return
    print(f"{sys.argv[1]}: {Path(file).stat().st_size / 2**20:.1f} MiB, {loads_nothing(file)}")
    words = ["unshare", "--net", sys.executable, __file__, file]
    if os.geteuid() != 0:
        words[1:1] = ["--user", "--map-root-user"]
    ran = subprocess.run(words, env=os.environ | {INSIDE: "1"})
    if ran.returncode:
        fail("it does not work there")
    print("empty root: passed")


main()
