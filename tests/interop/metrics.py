#!/usr/bin/env python3
"""What others make of dotward's metrics.

metrics.py parse URL PAGE         the official Python client reads URL; the metrics are those of the table in PAGE, and the sums agree that
                                  PAGE tells of
metrics.py panels URL DASHBOARD   the Prometheus at URL evaluates each expression of a dashboard for Grafana; prints how many have a result
"""

import json
import re
import sys
import urllib.parse
import urllib.request

BOUNDS = ("in_flight", "in_flight_per_client", "yielded")


def parse(url, page):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    with urllib.request.urlopen(url) as response:
        kind, text = response.headers["Content-Type"], response.read().decode()
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8", kind
    families = {family.name: family for family in text_string_to_metric_families(text)}
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", open(page).read(), re.MULTILINE)
    documented = {re.sub("_(total|info)$", "", name): kind for name, kind in rows}
    types = {name: family.type for name, family in families.items()}
    assert types == documented, set(types.items()) ^ set(documented.items())
    for family in families.values():
        assert family.documentation, family.name

    def total(name, **wanted):
        samples = families[name].samples
        fits = lambda labels: all(labels.get(label) in values for label, values in wanted.items())  # noqa: E731
        return sum(sample.value for sample in samples if fits(sample.labels))

    reasons = {sample.labels["reason"] for sample in families["dotward_failures"].samples} - {"truncated"}
    parts = total("dotward_answers") + total("dotward_failures", reason=reasons) + total("dotward_refusals")
    parts += total("dotward_limit_hits", bound=BOUNDS) + total("dotward_repeated_queries") + total("dotward_queries_in_flight")
    queries = total("dotward_queries")
    assert parts == queries > 0, (parts, queries)
    handshakes, connections = total("dotward_upstream_handshakes"), total("dotward_upstream_established")
    assert handshakes == connections > 0, (handshakes, connections)
    samples = sum(len(family.samples) for family in families.values())
    print(f"{len(families)} metrics, {samples} samples; {queries:.0f} queries add up")


def panels(url, dashboard):
    results, empty = 0, []
    for panel in json.load(open(dashboard))["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$instance", ".*").replace("$__rate_interval", "30s").replace("$__range", "30s")
            query = urllib.parse.urlencode({"query": expression})
            with urllib.request.urlopen(f"{url}/api/v1/query?{query}") as response:
                answer = json.load(response)
            assert answer["status"] == "success", expression
            if answer["data"]["result"]:
                results += 1
            else:
                empty.append(panel["title"])
    print(f"{results} expressions have a result, {len(empty)} have none: {', '.join(empty)}")
    assert results > 15 and len(empty) <= 2, empty


def main():
    mode, *rest = sys.argv[1:]
    {"parse": parse, "panels": panels}[mode](*rest)


main()
