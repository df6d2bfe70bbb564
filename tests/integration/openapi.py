"""docs/openapi.yaml as a checker of answers: what a request was answered with, against what the document says.

Stricter than the document, which lets members be added: here one that it does not describe is a mistake.
"""

import copy
import json
import pathlib
import re

import jsonschema
import yaml

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs/openapi.yaml"
REFERENCE = "#/components/schemas/"


def strict(node):
    """The same, with every object whose members are listed closed."""
    if isinstance(node, list):
        return [strict(child) for child in node]
    if not isinstance(node, dict):
        return node
    out = {key: strict(child) for key, child in node.items()}
    if isinstance(out.get("properties"), dict) and "additionalProperties" not in out:
        out["additionalProperties"] = False
    return out


class Description:
    def __init__(self, text=None):
        self.document = yaml.safe_load(text or DOCUMENT.read_text(encoding="utf-8"))
        self.components = strict(copy.deepcopy(self.document["components"]))

    def operations(self):
        """(method, path) of everything that is described."""
        return {(method.upper(), path) for path, item in self.document["paths"].items() for method in item}

    def problems_of_its_own(self):
        """What is wrong with the document, as sentences."""
        found = []
        if not str(self.document.get("openapi", "")).startswith("3.1."):
            found.append("it is no OpenAPI 3.1")
        for name, schema in self.components["schemas"].items():
            try:
                jsonschema.Draft202012Validator.check_schema(schema)
            except jsonschema.SchemaError as error:
                found.append(f"{name} is no JSON Schema: {error.message}")
        for reference in re.findall(r'"\$ref": "([^"]*)"', json.dumps(self.document)):
            place = self.document
            for word in reference.removeprefix("#/").split("/"):
                place = place.get(word, {}) if isinstance(place, dict) else {}
            if not place or not reference.startswith("#/"):
                found.append(f"{reference} leads nowhere")
        names = []
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                names.append(operation.get("operationId"))
                wanted = set(re.findall(r"\{(\w+)\}", path))
                named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
                if wanted != named or not operation.get("summary") or "default" not in operation.get("responses", {}):
                    found.append(f"{method} {path} lacks a summary, a parameter or a default response")
        if len(set(names)) != len(names) or None in names:
            found.append("an operationId is missing or there twice")
        return found

    def against(self, schema, value):
        """What is wrong with a value, as sentences."""
        validator = jsonschema.Draft202012Validator({**strict(schema), "components": self.components})
        return [f"{'/'.join(map(str, error.absolute_path)) or '(root)'}: {error.message}" for error in validator.iter_errors(value)]

    def response(self, method, path, status):
        responses = self.document["paths"][path][method.lower()]["responses"]
        found = responses.get(str(status))
        if found is None and status >= 400:
            found = responses.get("default")
        if found and "$ref" in found:
            found = self.document["components"]["responses"][found["$ref"].rpartition("/")[2]]
        return found

    def check(self, method, path, status, content_type, body):
        """What is wrong with an answer to `path` as the document writes it, as sentences."""
        response = self.response(method, path, status)
        if response is None:
            return [f"{method} {path}: status {status} is not described"]
        kind = content_type.partition(";")[0]
        content = response["content"].get(kind)
        if content is None:
            return [f"{method} {path}: {kind} is not described for status {status}"]
        if kind == "text/event-stream":
            data = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
            found = [problem for text in data for problem in self.against(content["x-data"], json.loads(text))]
            return [f"{method} {path}: {problem}" for problem in found]
        value = json.loads(body) if kind.endswith("json") else body
        return [f"{method} {path}: {problem}" for problem in self.against(content["schema"], value)]
