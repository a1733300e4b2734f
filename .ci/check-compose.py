"""What the schemas cannot know: that the Dockerfile, the compose file, Prometheus and the topology agree."""

import json
import pathlib
import sys

from ruamel.yaml import YAML

root = pathlib.Path(__file__).resolve().parent.parent
yaml = YAML(typ="safe")
compose = yaml.load(root / "docker/compose.yaml")
prometheus = yaml.load(root / "docker/prometheus.yml")
dockerfile = (root / "docker/Dockerfile").read_text()
services = compose["services"]
stages = ["normalizer", "twin-updater", "drift-detector", "graph-propagator", "scaling-decider"]
faults = []


def expect(condition, text):
    if not condition:
        faults.append(text)


for stage in stages:
    service = services.get(stage, {})
    expect(service.get("command") == [stage], f"compose: service {stage} does not run {stage}")
    expect(service.get("read_only") is True, f"compose: the root file system of {stage} is not read-only")
    expect(stage in dockerfile, f"Dockerfile: {stage} is not installed")
    expect((root / "Sources" / stage / "main.swift").exists(), f"compose: there is no executable {stage}")
scraped = [name for job in prometheus["scrape_configs"] for sd in job.get("dns_sd_configs", []) for name in sd["names"]]
expect(scraped == stages, "prometheus: it does not scrape exactly the five stages")
ports = [sd["port"] for job in prometheus["scrape_configs"] for sd in job.get("dns_sd_configs", [])]
expect(all(f"EXPOSE {port}" in dockerfile for port in ports), "prometheus: it scrapes a port that is not exposed")
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
