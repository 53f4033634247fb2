"""The targets that the loaded plugins serve, and the providers that the configuration names for them."""

from typing import Any

from fastapi import Request, Response

from imagefactory.core.errors import NotFound
from imagefactory.web.negotiation import Negotiated
from imagefactory.web.site import Here, Site


def list_targets(site: Here, request: Request, answer: Negotiated) -> Response:
    """Lists what a target image can be made for."""
    root = site.root(request)
    return answer({"targets": [{"target": _target(name, root)} for name in _targets(site)]})


def show_target(site: Here, request: Request, answer: Negotiated, target_id: str) -> Response:
    """Shows a target with the plugin that serves it, and its providers."""
    root = site.root(request)
    plugin = _plugin(site, target_id)
    href = f"{root}/plugins/{plugin}"
    view = {
        **_target(target_id, root),
        "plugin": {"_type": "plugin", "id": plugin, "href": href},
        "providers": _providers(site, target_id, root),
    }
    return answer({"target": view})


def list_providers(site: Here, request: Request, answer: Negotiated, target_id: str) -> Response:
    """Lists the accounts of a target that the operator has configured; clients may bring others."""
    _plugin(site, target_id)
    return answer(_providers(site, target_id, site.root(request)))


def show_provider(
    site: Here, request: Request, answer: Negotiated, target_id: str, provider_id: str
) -> Response:
    """Shows a configured provider; its credentials are shown to nobody."""
    _plugin(site, target_id)
    if provider_id not in _accounts(site, target_id):
        msg = f"No provider found with id: {provider_id}"
        raise NotFound(msg)
    root = site.root(request)
    view = _provider(target_id, provider_id, root) | {"target": _target(target_id, root)}
    return answer({"provider": view})


def _targets(site: Site) -> dict[str, str]:
    """Each target and the id of its plugin."""
    clouds = site.factory.workshop.planner.registry.clouds
    return {target: cloud.info.id for cloud in clouds for target in cloud.targets}


def _plugin(site: Site, target_id: str) -> str:
    targets = _targets(site)
    if target_id not in targets:
        msg = f"No target found with id: {target_id}"
        raise NotFound(msg)
    return targets[target_id]


def _accounts(site: Site, target: str) -> tuple[str, ...]:
    """The names of the providers of a target that the operator has set up, folders for `local` included."""
    accounts = site.config.providers.items()
    names = [name for name, account in accounts if account.target == target]
    folders = (tuple(site.config.local_folders) or ("local",)) if target == "local" else ()
    return tuple(sorted({*names, *folders}))


def _target(name: str, root: str) -> dict[str, Any]:
    return {"_type": "target", "id": name, "href": f"{root}/targets/{name}"}


def _provider(target: str, name: str, root: str) -> dict[str, Any]:
    return {"_type": "provider", "id": name, "href": f"{root}/targets/{target}/providers/{name}"}


def _providers(site: Site, target: str, root: str) -> dict[str, Any]:
    names = _accounts(site, target)
    return {"providers": [{"provider": _provider(target, name, root)} for name in names]}
