"""The chart, rendered by Helm's own library with several values, held against the schemas of Kubernetes
and against what the chart promises."""

import pathlib
import sys

import kubernetes_validate
import yaml
from helm_python import chart

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/octroi"
VERSION = "1.34"
# What no cluster knows without an operator of its own.
FOREIGN = {"ServiceMonitor"}


def main():
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    assert len(files) >= 4, files
    for file in files:
        values = chart.values_from_yaml(file.read_text())
        report = chart.lint(CHART, values, strict=True, kube_version="v1.34.0")
        faults = [m for m in report["messages"] if m["severity"] > 1]
        assert not faults and not report["errors"], (file.name, report)
        loaded = chart.Chart.load(CHART)
        loaded.validate_schema(loaded.merge_values(values))
        rendered = loaded.render(values, name="gate", namespace="psd2")
        objects = [
            (template, one)
            for template, text in rendered.items()
            if template.endswith(".yaml")
            for one in yaml.safe_load_all(text)
            if one
        ]
        for template, one in objects:
            if one["kind"] not in FOREIGN:
                kubernetes_validate.validate(one, VERSION, strict=True)
        promises(values, [one for _, one in objects])
        print(f"{file.name}: {len(objects)} objects")
    refused()


def of_kind(objects, kind):
    return [one for one in objects if one["kind"] == kind]


def promises(values, objects):
    (gateway,) = of_kind(objects, "StatefulSet")
    pod = gateway["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"] + pod.get("initContainers", []):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
        for variable in container["env"]:
            assert "KEY" not in variable["name"], "secrets come as files"
    (octroi,) = pod["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert octroi[probe]["exec"]["command"][:2] == ["/usr/bin/octroi", "healthcheck"]
    assert "--ready" in octroi["readinessProbe"]["exec"]["command"]
    assert "--ready" not in octroi["livenessProbe"]["exec"]["command"]
    drain = {"preStopSeconds": 5, "delaySeconds": 5, "timeoutSeconds": 30, **values.get("drain", {})}
    assert pod["terminationGracePeriodSeconds"] > sum(drain.values()), "long enough to leave"
    selector = gateway["spec"]["selector"]["matchLabels"]
    labels = gateway["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()
    ports = {port["name"] for port in octroi["ports"]}
    for service in of_kind(objects, "Service"):
        assert service["spec"]["selector"] == selector
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    exposed = values.get("admin", {}).get("expose", False)
    assert ("admin" in ports) == exposed
    addresses = {variable["name"]: variable["value"] for variable in octroi["env"]}
    loopback = addresses["OCTROI_LISTEN_ADMIN__ADDRESS"].startswith("127.0.0.1:")
    assert loopback != exposed, "the admin listener is on loopback unless exposed"
    annotations = gateway["spec"]["template"]["metadata"]["annotations"]
    assert ("checksum/config" in annotations) == values.get("restartOnConfigChange", False)
    scaled = values.get("autoscaling", {}).get("enabled", False)
    assert ("replicas" in gateway["spec"]) != scaled, "two hands on one number"
    (budget,) = of_kind(objects, "PodDisruptionBudget")
    assert budget["spec"]["selector"]["matchLabels"] == selector
    for policy in of_kind(objects, "NetworkPolicy"):
        assert policy["spec"]["podSelector"]["matchLabels"] == selector
        for rule in policy["spec"]["ingress"]:
            if 9443 in [port["port"] for port in rule["ports"]]:
                assert rule["from"], "nobody reaches the admin listener unnamed"


def refused():
    """What must not be rendered, with a word of why."""
    config = "[insecure]\nadmin_on_any_address = true\n"
    for values, word in [
        ({}, "config"),
        ({"config": "x = 1", "admin": {"expose": True}}, "admin_on_any_address"),
        ({"config": config, "serviceMonitor": {"enabled": True}}, "admin.expose"),
        ({"config": config, "adress": "0.0.0.0"}, "adress"),
        ({"config": config, "replicas": 0}, "replicas"),
    ]:
        loaded = chart.Chart.load(CHART)
        try:
            loaded.validate_schema(loaded.merge_values(values))
            loaded.render(values, name="gate", namespace="psd2")
        except Exception as error:  # noqa: BLE001 - each kind of refusal will do
            assert word in str(error), (values, error)
        else:
            raise AssertionError(f"{values} is rendered")
    print("5 values that are refused, with a word of why")


sys.exit(main())
