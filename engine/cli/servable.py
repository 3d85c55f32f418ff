"""What a gateway cannot serve: each feature that a dialect can ask for and an upstream refuses, known before use."""

from __future__ import annotations

from engine.config import GatewayConfig
from engine.gateway.call import Caller
from engine.gateway.targets import make_target
from engine.language.catalog import Catalog
from engine.language.features import FEATURES, REFUSED, features_of
from engine.types import Secret

_ANYBODY = Caller(credential=Secret("any"))


def unserved(config: GatewayConfig, catalog: Catalog) -> list[tuple[str, str, str]]:
    """`(upstream, dialect, feature)` for all that would be refused, in the order of the config."""
    found = []
    for name, upstream in config.upstreams.items():
        plan = catalog.endpoints[upstream.endpoint]
        features = features_of(plan, target=make_target(upstream, plan, _ANYBODY, None))
        for dialect in catalog.dialects.values():
            asks = frozenset().union(*(each.asks for each in dialect.operations.values() if each.kind == "chat"))
            found += [(name, dialect.id, each) for each in FEATURES if each in asks and features[each] == REFUSED]
    return found


def unserved_text(config: GatewayConfig, catalog: Catalog, file: str) -> str:
    """The list as lines for a person; empty when everything can be served."""
    by_pair: dict[tuple[str, str], list[str]] = {}
    for upstream, dialect, feature in unserved(config, catalog):
        by_pair.setdefault((upstream, dialect), []).append(feature)
    if not by_pair:
        return ""
    lines = [f"{file}: not served, and refused by name before anything is sent:"]
    for (upstream, dialect), features in by_pair.items():
        endpoint = config.upstreams[upstream].endpoint
        place = endpoint if endpoint == upstream else f"{upstream} ({endpoint})"
        lines.append(f"  {dialect} over {place}: {', '.join(features)}")
    return "\n".join(lines)
