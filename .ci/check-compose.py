"""What the schemas cannot know: that the Dockerfile, the compose file, Prometheus, Grafana and the code agree."""

import json
import pathlib
import re
import sys

from ruamel.yaml import YAML

root = pathlib.Path(__file__).resolve().parent.parent
yaml = YAML(typ="safe")
compose = yaml.load(root / "docker/compose.yaml")
prometheus = yaml.load(root / "docker/prometheus.yml")
dockerfile = (root / "docker/Dockerfile").read_text()
services = compose["services"]
stages = ["normalizer", "twin-updater", "drift-detector", "graph-propagator", "scaling-decider"]
programs = stages + ["twin-api"]
faults = []


def expect(condition, text):
    if not condition:
        faults.append(text)


for stage in programs:
    service = services.get(stage, {})
    expect(service.get("command") == [stage], f"compose: service {stage} does not run {stage}")
    expect(service.get("read_only") is True, f"compose: the root file system of {stage} is not read-only")
    expect(stage in dockerfile, f"Dockerfile: {stage} is not installed")
    expect((root / "Sources" / stage / "main.swift").exists(), f"compose: there is no executable {stage}")
scraped = [name for job in prometheus["scrape_configs"] for sd in job.get("dns_sd_configs", []) for name in sd["names"]]
expect(scraped == programs, "prometheus: it does not scrape exactly the five stages and the server")
ports = [sd["port"] for job in prometheus["scrape_configs"] for sd in job.get("dns_sd_configs", [])]
exposed = re.search(r"^EXPOSE (.*)$", dockerfile, re.MULTILINE).group(1).split()
expect(all(str(port) in exposed for port in ports), "prometheus: it scrapes a port that is not exposed")


def mounted(service, path):
    """True if the service mounts this path, or a folder above it."""
    targets = [volume.split(":")[1] for volume in services.get(service, {}).get("volumes", [])]
    return any(path == target or path.startswith(target + "/") for target in targets)


for path in prometheus.get("rule_files", []):
    expect((root / "docker" / path).exists(), f"prometheus: there is no {path}")
    expect(mounted("prometheus", f"/etc/prometheus/{path}"), f"compose: prometheus does not mount {path}")
for job in prometheus["scrape_configs"]:
    secret = job.get("authorization", {}).get("credentials_file")
    expect(not secret or mounted("prometheus", secret), f"compose: prometheus does not mount {secret}")

server = services.get("twin-api", {}).get("environment", {})
tokens = server.get("TWINSCALE_API_AUTH_TOKENS", "")
expect(tokens and mounted("twin-api", tokens), "compose: twin-api is reachable from outside and has no tokens")
expect("twinscale_API.resources" in dockerfile, "Dockerfile: the server's resources are not installed beside it")

# Every metric that a rule or a panel asks for is written by the code: whole, or, by a stage, without the prefix.
code = "\n".join(path.read_text() for path in (root / "Sources").rglob("*.swift"))
dashboard = json.loads((root / "docker/grafana/twinscale.json").read_text())
questions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
questions.append((root / "docker/alerts.yml").read_text())
for name in sorted(set(re.findall(r"\btwinscale_[a-z0-9_]+", "\n".join(questions)))):
    known = f'"{name}"' in code or f'"{name.removeprefix("twinscale_")}"' in code
    expect(known, f"alerts or dashboard: no metric is called {name}")

for name, service in services.items():
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        known = source in compose["volumes"] or (root / "docker" / source).exists()
        expect(known, f"compose: {name} mounts {source}, which does not exist")
    depends = service.get("depends_on", {})
    expect(all(other in services for other in depends), f"compose: {name} waits for a service that does not exist")
    image = service["image"]
    expect(image == "twinscale" or ":" in image, f"compose: the image {image} has no tag")
for path in (root / "topics/schemas").glob("*.json"):
    try:
        schema = json.loads(path.read_text())
        expect("$schema" in schema, f"{path.name}: no $schema")
    except ValueError as error:
        faults.append(f"{path.name}: {error}")

if faults:
    sys.exit("\n".join(faults))
