"""Which servers there are, and how each is put together from what its makers publish for integration tests.

Two parts of a full server are patched here, because the published pieces do not fit each other: Elasticsearch gets a
small plugin of ours (`shim/TestShim.java`: `GET /`, and the token filters that the index of API keys needs), and
OpenSearch loses its analysis module, which needs Thai word data that the packaged Java runtime leaves out.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.servers.cache import Cache, run

PASSWORD = "example-password-1"
"""Of the administrator of a server that lives for minutes on loopback."""

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Kind:
    """A server that can be asked for by name."""

    name: str
    product: str
    version: str
    secure: bool
    user: str = ""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("elasticsearch", "elasticsearch", "9.2.4", secure=False),
        Kind("elasticsearch-secure", "elasticsearch", "9.2.4", secure=True, user="elastic"),
        Kind("opensearch", "opensearch", "3.6.0", secure=False),
        Kind("opensearch-secure", "opensearch", "3.4.0", secure=True, user="admin"),
    )
}


def install(kind: Kind, cache: Cache) -> tuple[Path, Path]:
    """Install what `kind` needs, once; return the homes of the server and of Java. Raises Unavailable."""
    with cache.locked():
        java = cache.java()
        if kind.product == "elasticsearch":
            return _elasticsearch(kind, cache, java), java
        return _opensearch(kind, cache, java), java


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip with its file modes, which `zipfile` drops; return its one folder."""
    with zipfile.ZipFile(archive) as opened:
        for item in opened.infolist():
            path = Path(opened.extract(item, folder))
            mode = item.external_attr >> 16 & 0o777
            if mode and not item.is_dir():
                path.chmod(mode)
    (home,) = folder.iterdir()
    return home


def _trim_jvm_options(file: Path, java: Path) -> None:
    """Take out what writes into relative folders, sizes the heap, or names a module this runtime lacks."""
    drop = r"Xlog|HeapDump|ErrorFile|^-Xm[sx]"
    if "jdk.incubator.vector@" not in run([str(java / "bin" / "java"), "--list-modules"]):
        drop += r"|jdk\.incubator\.vector"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not re.search(drop, line)))


def _elasticsearch(kind: Kind, cache: Cache, java: Path) -> Path:
    final = cache.folder / f"elasticsearch-{kind.version}"
    if final.exists():
        return final
    archive = cache.maven(f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{kind.version}:zip")
    compiler = cache.maven("org.eclipse.jdt:ecj:3.41.0:jar")
    with cache.making(final) as rough:
        home = _unpack(archive, rough)
        for path in list(home.iterdir()):
            path.rename(rough / path.name)
        home.rmdir()
        _trim_jvm_options(rough / "config" / "jvm.options", java)
        _build_shim(rough, java, compiler, kind.version)
        run(
            [str(rough / "bin" / "elasticsearch-keystore"), "add", "--stdin", "--force", "bootstrap.password"],
            env={"ES_JAVA_HOME": str(java), "PATH": "/usr/bin:/bin", "CLI_JAVA_OPTS": "-XX:TieredStopAtLevel=1"},
            feed=PASSWORD,
        )
    return final


def _build_shim(home: Path, java: Path, compiler: Path, version: str) -> None:
    plugin, classes = home / "plugins" / "testshim", home / "shim-classes"
    plugin.mkdir(parents=True)
    libraries = ":".join(str(jar) for jar in sorted((home / "lib").glob("*.jar")))
    run([
        str(java / "bin" / "java"), "-jar", str(compiler), "-21", "-nowarn", "-cp", libraries, "-d", str(classes),
        str(_HERE / "shim" / "TestShim.java"),
    ])  # fmt: skip
    with zipfile.ZipFile(plugin / "testshim.jar", "w") as jar:
        for path in sorted(classes.rglob("*.class")):
            jar.write(path, path.relative_to(classes).as_posix())
    shutil.rmtree(classes)
    (plugin / "plugin-descriptor.properties").write_text(
        "description=test shim\nversion=1\nname=testshim\nclassname=testshim.TestShim\n"
        f"java.version=21\nelasticsearch.version={version}\n"
    )


def _opensearch(kind: Kind, cache: Cache, java: Path) -> Path:
    final = cache.folder / f"opensearch-{kind.version}{'-secure' if kind.secure else ''}"
    if final.exists():
        return final
    archive = cache.maven(f"org.opensearch.distribution.integ-test-zip:opensearch:{kind.version}:zip")
    with cache.making(final) as rough:
        home = _unpack(archive, rough)
        for path in list(home.iterdir()):
            path.rename(rough / path.name)
        home.rmdir()
        _trim_jvm_options(rough / "config" / "jvm.options", java)
        if kind.secure:
            _add_security(rough, java, cache, kind.version)
        shutil.rmtree(rough / "modules" / "analysis-common", ignore_errors=True)
    return final


def _add_security(home: Path, java: Path, cache: Cache, version: str) -> None:
    plugin = cache.maven(f"org.opensearch.plugin:opensearch-security:{version}.0:zip")
    collections = cache.maven("org.apache.commons:commons-collections4:4.5.0:jar")
    patched = home / "opensearch-security.zip"
    with zipfile.ZipFile(plugin) as old, zipfile.ZipFile(patched, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename == "plugin-descriptor.properties":
                # a module that only workload management uses, and that this distribution does not have
                content = content.replace(b",rule-framework\n", b",rule-framework;optional=true\n")
            new.writestr(item, content)
    environment = {"OPENSEARCH_JAVA_HOME": str(java), "PATH": "/usr/bin:/bin"}
    run([str(home / "bin" / "opensearch-plugin"), "install", "--batch", patched.as_uri()], env=environment)
    patched.unlink()
    installed = home / "plugins" / "opensearch-security"
    shutil.copy(collections, installed)  # normally inherited from that module's class loader
    tool = installed / "tools" / "hash.sh"
    tool.chmod(0o755)
    digest = run(["bash", str(tool), "-p", PASSWORD], env=environment).strip().splitlines()[-1]
    (home / "config" / "opensearch-security" / "internal_users.yml").write_text(
        '_meta:\n  type: "internalusers"\n  config_version: 2\n'
        f'admin:\n  hash: "{digest}"\n  reserved: false\n  backend_roles:\n  - "admin"\n'
    )
