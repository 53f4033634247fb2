"""The program by which zypper, in the host's own Python, tells what it would install."""

from typing import Final

#: One request on standard input, one answer on standard output, both JSON, as for dnf. zypper says all that it
#: does as XML (zypper(8), "--xmlout"); where a package's file lies is in the index that it was given.
PROGRAM: Final = r"""
import json, os, shutil, subprocess, sys
import xml.etree.ElementTree as tree

request = json.load(sys.stdin)
ROOT = "/mnt/root"
NO_SUCH_PACKAGE = 104
LIMITED = (0, 102, 103, 106)  # done, perhaps with something that a running system would like to know


class Failed(Exception):
    pass


def run(*words):
    argv = ["zypper", "--root", ROOT, "--non-interactive", "--xmlout", *words]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    try:
        stream = tree.fromstring(done.stdout)
    except tree.ParseError:
        raise Failed(1, [done.stderr.strip() or f"zypper has told nothing that can be read"])
    if done.returncode not in LIMITED:
        told = [message.text or "" for message in stream.iter("message") if message.get("type") == "error"]
        prompts = [prompt.findtext("text") or "" for prompt in stream.iter("prompt")]
        problems = [problem.get("description", "") for problem in stream.iter("problem")]
        raise Failed(done.returncode, [*told, *problems, *prompts])
    return stream


def set_up(names):
    for entry in os.scandir(ROOT):
        shutil.rmtree(entry.path)
    for one in request["repositories"]:
        if one["id"] not in names:
            continue
        how = "--no-gpgcheck"
        if one["keys"]:
            subprocess.run(["rpmkeys", "--root", ROOT, "--import", one["keys"].removeprefix("file://")], check=True)
            how = "--gpgcheck-strict" if one["signed_index"] else "--gpgcheck-allow-unsigned-repo"
        run("addrepo", how, one["url"], one["id"])
        try:
            run("--releasever", request["substitutions"]["releasever"], "refresh", one["id"])
        except Failed as error:
            answer["untrusted"] = f"'{one['id']}': " + " ".join(error.args[1][:2])
            raise


def chosen(names, weak):
    how = "--recommends" if weak else "--no-recommends"
    stream = run("--no-refresh", "install", "--dry-run", how, "--", *names)
    return {
        (one.get("name"), one.get("edition"), one.get("arch"))
        for one in stream.iterfind(".//to-install/solvable")
        if one.get("type") == "package"
    }


def spelled(name):
    return f"pattern:{name[1:]}" if name.startswith("@") else name


def unknown(names):
    for name in names:
        try:
            run("--no-refresh", "install", "--dry-run", "--no-recommends", "--", name)
        except Failed as error:
            if error.args[0] == NO_SUCH_PACKAGE:
                return [name]
    return []


answer = {}
asked = []
try:
    set_up(request["own"])
    asked = list(request["base"])
    base = chosen(asked, weak=False)
    found = [[*one, "base"] for one in sorted(base)]
    if request["packages"]:
        set_up([*request["own"], *request["foreign"]])
        asked = [f"{name}={edition}" for name, edition, _ in sorted(base)]
        asked += map(spelled, request["packages"])
        found += [[*one, "packages"] for one in sorted(chosen(asked, weak=True) - base)]
    answer["chosen"] = found
except Failed as error:
    code, why = error.args
    if code == NO_SUCH_PACKAGE:
        answer["unknown"] = unknown(asked)
    answer["failed"] = "\n".join(why)
json.dump(answer, sys.stdout)
"""
