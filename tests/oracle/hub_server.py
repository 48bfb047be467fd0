"""A Hugging Face hub on this machine, with a host of storage beside it, and everything that can go wrong with them.

Speaks what huggingface_hub asks: /api/models/NAME/revision/REV, /api/models/NAME/tree/REV and NAME/resolve/REV/FILE.
Large files (LFS) lie on the storage, another origin, to which the hub redirects and which must never see a token.
"""

import dataclasses
import hashlib
import http.server
import json
import re
import ssl
import threading
import time
import urllib.parse


def git_blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclasses.dataclass
class Fault:
    """What happens to the next `times` requests whose "METHOD PATH" matches."""

    pattern: str
    times: int = 1
    status: int = 0  # answered instead
    headers: dict = dataclasses.field(default_factory=dict)
    cut: int = -1  # bytes of the body after which the connection ends
    stall: float = 0  # seconds without a byte in the middle of the body
    corrupt: bool = False
    ignore_range: bool = False
    early: int = 0  # bytes by which a part begins before what was asked for
    redirect: str = ""


@dataclasses.dataclass
class Request:
    host: str  # "hub" or "storage"
    method: str
    path: str
    headers: dict
    sent: int = 0  # bytes of the body
    time: float = dataclasses.field(default_factory=time.monotonic)


class Model:
    def __init__(self):
        self.commits, self.revisions, self.lfs = {}, {}, set()
        self.token = self.gate = None  # who has it may read it: the model at all; its files

    def commit(self, files, *revisions, lfs=()):
        """Adds a commit of these files (name: bytes) and lets the revisions be it."""
        self.lfs |= set(lfs)
        commit = hashlib.sha1(json.dumps([sorted(files), len(self.commits), id(self)]).encode()).hexdigest()
        self.commits[commit] = dict(files)
        for revision in revisions:
            self.revisions[revision] = commit
        return commit

    def find(self, revision):
        return self.revisions.get(revision, revision if revision in self.commits else None)


class Hub:
    """`with Hub() as hub`: hub.endpoint answers."""

    def __init__(self, certificate=None):
        self.models, self.renamed, self.faults, self.requests, self.problems = {}, {}, [], [], []
        self.bytes_per_second = 0  # of storage; 0: no limit
        self.lock = threading.Lock()
        self.scheme = "https" if certificate else "http"
        self.servers = {}
        for host in ("hub", "storage"):
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler(host))
            server.daemon_threads = True
            if certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            self.servers[host] = server

    def __enter__(self):
        for server in self.servers.values():
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        for server in self.servers.values():
            server.shutdown()
            server.server_close()

    def url(self, host):
        return f"{self.scheme}://127.0.0.1:{self.servers[host].server_port}"

    @property
    def endpoint(self):
        return self.url("hub")

    def model(self, name):
        return self.models.setdefault(name, Model())

    def fail(self, *arguments, **options):
        self.faults.append(Fault(*arguments, **options))

    def asked(self, pattern=""):
        """The requests whose "METHOD PATH" matches."""
        with self.lock:
            return [r for r in self.requests if re.search(pattern, f"{r.method} {r.path}")]

    def forget(self):
        with self.lock:
            self.requests.clear()

    def take_fault(self, request):
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, f"{request.method} {request.path}"):
                    fault.times -= 1
                    return fault
        return Fault("")

    def handler(hub, host):  # noqa: N805
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.serve()

            do_HEAD = do_GET

            def serve(self):
                self.request_ = Request(host, self.command, self.path, dict(self.headers))
                fault = hub.take_fault(self.request_)
                if fault.status:
                    self.answer(fault.status, fault.headers, b"nothing to see")
                elif fault.redirect:
                    self.answer(302, {"Location": fault.redirect})
                elif host == "storage":
                    self.serve_storage(fault)
                else:
                    self.serve_hub(fault)

            def answer(self, status, headers, body=b"", fault=Fault("")):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", headers.get("Content-Length", str(len(body))))
                self.end_headers()
                if self.command == "HEAD":
                    return
                end = len(body) if fault.cut < 0 else min(fault.cut, len(body))
                step = max(1, hub.bytes_per_second // 50) if hub.bytes_per_second else 1 << 18
                try:
                    for begin in range(0, end, step):
                        piece = body[begin : min(begin + step, end)]
                        self.wfile.write(piece)
                        self.request_.sent += len(piece)
                        if fault.stall and begin + step >= end // 2:
                            time.sleep(fault.stall)
                        if hub.bytes_per_second:
                            time.sleep(step / hub.bytes_per_second)
                    self.wfile.flush()
                except OSError:  # the client has been killed, or has had enough
                    self.close_connection = True
                if end < len(body):
                    self.close_connection = True

            def send_file(self, content, headers, fault):
                if fault.corrupt:
                    content = content[:-1] + bytes([content[-1] ^ 1])
                begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                if not begin or fault.ignore_range:
                    return self.answer(200, headers, content, fault)
                first = int(begin[1]) - fault.early
                if first >= len(content):
                    return self.answer(416, headers | {"Content-Range": f"bytes */{len(content)}"})
                headers = headers | {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
                self.answer(206, headers, content[first:], fault)

            def serve_storage(self, fault):
                if self.headers.get("Authorization"):
                    hub.problems.append(f"the storage was shown a token: {self.path}")
                url = urllib.parse.urlsplit(self.path)
                if "signature=" not in url.query:
                    return self.answer(403, {}, b"no signature")
                digest = url.path.rpartition("/")[2]
                for model in hub.models.values():
                    for files in model.commits.values():
                        for name in set(files) & model.lfs:
                            if hashlib.sha256(files[name]).hexdigest() == digest:
                                return self.send_file(files[name], {"ETag": '"of the storage"'}, fault)
                self.answer(404, {})

            def refuse(self, status, code="", message=""):
                self.answer(status, {"X-Error-Code": code, "X-Error-Message": message} if code or message else {})

            def serve_hub(self, fault):
                path = urllib.parse.urlsplit(self.path).path
                api = re.fullmatch(r"/api/models/(.+)/(revision|tree)/([^/]+)", path)
                file = re.fullmatch(r"/(.+)/resolve/([^/]+)/(.+)", path)
                if not api and not file:
                    return self.refuse(404)
                name = (api or file)[1]
                if name in hub.renamed:
                    return self.answer(307, {"Location": self.path.replace(name, hub.renamed[name], 1)})
                model = hub.models.get(name)
                token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
                if token == "hf_invalid":
                    return self.refuse(401, message="Invalid credentials in Authorization header")
                if model is None or (model.token and token != model.token):
                    return self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
                commit = model.find(urllib.parse.unquote(api[3] if api else file[2]))
                if commit is None:
                    return self.refuse(404, "RevisionNotFound", "Invalid rev id")
                if api:
                    return self.serve_api(model, name, commit, api[2], fault)
                if model.gate and token != model.gate:
                    return self.refuse(403 if token else 401, "GatedRepo", "Access to this model is restricted.")
                self.serve_file(model, commit, urllib.parse.unquote(file[3]), fault)

            def serve_api(self, model, name, commit, what, fault):
                files = model.commits[commit]
                if what == "revision":
                    found = {"id": name, "sha": commit, "siblings": [{"rfilename": file} for file in files]}
                else:
                    found = []
                    for file, content in files.items():
                        entry = {"type": "file", "path": file, "size": len(content), "oid": git_blob_id(content)}
                        if file in model.lfs:
                            digest = hashlib.sha256(content).hexdigest()
                            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
                        found.append(entry)
                self.answer(200, {"Content-Type": "application/json"}, json.dumps(found).encode(), fault)

            def serve_file(self, model, commit, name, fault):
                headers = {"X-Repo-Commit": commit}
                content = model.commits[commit].get(name)
                if content is None:
                    return self.answer(404, headers | {"X-Error-Code": "EntryNotFound"})
                if name not in model.lfs:
                    headers |= {"ETag": f'W/"{git_blob_id(content)}"'}
                    if self.command == "HEAD":
                        return self.answer(200, headers | {"Content-Length": str(len(content))})
                    return self.send_file(content, headers, fault)
                digest = hashlib.sha256(content).hexdigest()
                self.answer(302, headers | {
                    "X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content)),
                    "Location": f"{hub.url('storage')}/repos/{digest}?signature={len(hub.requests)}"})  # fmt: skip

        return Handler
