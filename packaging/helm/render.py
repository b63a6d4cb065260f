"""Renders the chart with Helm's own engine, without a cluster. The tests of this folder's package run it.

    render.py CHART REQUEST.json [lint]      the request: {"name", "namespace", "values"}
    render.py FILE.yaml                      the objects of a manifest, to compare with

Prints the objects as a JSON list, with NOTES.txt as its last element; with `lint`, what `helm lint --strict` finds. Values
that Helm refuses end it with status 1 and Helm's sentence.
"""

import json
import sys

import helm_python
import yaml


def main() -> int:
    chart_folder, *others = sys.argv[1:]
    if not others:
        with open(chart_folder, encoding="utf-8") as manifest:
            print(json.dumps(list(yaml.safe_load_all(manifest))))
        return 0
    request_file, *verb = others
    with open(request_file, encoding="utf-8") as file:
        request = json.load(file)
    if verb == ["lint"]:
        report = helm_python.lint(chart_folder, request["values"], strict=True)
        # 1 is a piece of advice, such as an icon for the chart.
        found = [message for message in report["messages"] if message["severity"] > 1]
        print(json.dumps(found + report["errors"]))
        return 0
    with helm_python.Chart.load(chart_folder) as chart:
        try:
            rendered = chart.render(request["values"], name=request["name"], namespace=request["namespace"])
        except helm_python.HelmError as refusal:
            print(refusal, file=sys.stderr)
            return 1
    notes = ""
    objects = []
    for path, text in sorted(rendered.items()):
        if path.endswith("NOTES.txt"):
            notes = text
        else:
            objects += [found for found in yaml.safe_load_all(text) if found]
    print(json.dumps([*objects, notes]))
    return 0


sys.exit(main())
