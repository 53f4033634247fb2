"""The program by which dnf, in the host's own Python, tells what it would install."""

from typing import Final

#: dnf is a library of the system's Python (dnf's API reference), which is not ours: one request on
#: standard input, one answer on standard output, both JSON.
PROGRAM: Final = r"""
import json, logging, sys
import dnf, dnf.conf, dnf.exceptions, dnf.repo, hawkey

request = json.load(sys.stdin)
logging.disable(logging.CRITICAL)
answer = {}


def base_of(weak):
    conf = dnf.conf.Conf()
    conf.installroot = "/mnt/root"
    conf.cachedir, conf.persistdir, conf.logdir = "/mnt/cache", "/mnt/persist", "/mnt/cache"
    conf.substitutions.update(request["substitutions"])
    conf.install_weak_deps = weak
    conf.best = True
    conf.zchunk = False
    conf.ignorearch = True
    conf.module_platform_id = request["platform"]
    base = dnf.Base(conf)
    for one in request["repositories"]:
        if one["id"] in request["use"]:
            repo = dnf.repo.Repo(one["id"], conf)
            repo.baseurl = [one["url"]]
            repo.gpgkey = [one["keys"]] if one["keys"] else []
            repo.gpgcheck, repo.repo_gpgcheck = bool(one["keys"]), one["signed_index"]
            repo.skip_if_unavailable = False
            repo.metadata_expire = 0
            base.repos.add(repo)
    base.fill_sack(load_system_repo=False)
    base.read_comps()
    return base


def chosen(base, specs):
    base.install_specs(specs, strict=True)
    base.resolve()
    return {f"{pkg.name} {pkg.evr} {pkg.arch}": pkg for pkg in base.transaction.install_set}


def shown(pkg, layer):
    kind, digest = pkg.chksum
    return {
        "name": pkg.name, "version": pkg.evr, "arch": pkg.arch, "repository": pkg.repoid,
        "location": pkg.location, "size": pkg.downloadsize, "layer": layer,
        "checksum": hawkey.chksum_name(kind), "digest": digest.hex(),
    }


try:
    request["use"] = request["own"]
    base = base_of(False)
    base_set = chosen(base, request["base"])
    packages = [shown(pkg, "base") for pkg in base_set.values()]
    if request["packages"]:
        request["use"] = request["own"] + request["foreign"]
        more = base_of(True)
        exact = [f"{pkg.name}-{pkg.epoch}:{pkg.version}-{pkg.release}.{pkg.arch}" for pkg in base_set.values()]
        whole = chosen(more, exact + request["packages"])
        packages += [shown(pkg, "packages") for key, pkg in whole.items() if key not in base_set]
    answer["packages"] = packages
except dnf.exceptions.RepoError as error:
    answer["untrusted"] = str(error)
except dnf.exceptions.MarkingErrors as error:
    answer["unknown"] = [*error.no_match_pkg_specs, *error.no_match_group_specs]
    answer["failed"] = str(error)
except dnf.exceptions.Error as error:
    answer["failed"] = str(error)
json.dump(answer, sys.stdout)
"""
