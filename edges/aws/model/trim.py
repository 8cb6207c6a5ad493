#!/usr/bin/env python3
"""Trims the service models of an installed botocore to what the edge needs: operations, shapes, constraints, errors.

Run it with the Python that has botocore:  python3 edges/aws/model/trim.py
Documentation, examples and hints for clients are left out. One operation or shape a line, so that a diff reads well.
"""

import json
import pathlib

import botocore
from botocore.loaders import Loader

SERVICES = ("lambda", "iam", "sts")
HERE = pathlib.Path(__file__).parent

METADATA = ("apiVersion", "protocol", "endpointPrefix", "signingName", "xmlNamespace")
SHAPE = ("type", "required", "min", "max", "pattern", "enum", "sensitive", "flattened", "payload", "timestampFormat")
MEMBER = ("location", "locationName", "flattened", "jsonvalue", "timestampFormat", "xmlNamespace", "xmlAttribute")


def keep(source, names):
    return {name: source[name] for name in names if name in source}


def reference(member):
    return {"shape": member["shape"], **keep(member, MEMBER)}


def operation(source):
    http = {"method": source["http"]["method"], "uri": source["http"]["requestUri"]}
    http["code"] = source["http"].get("responseCode", 200)
    trimmed = {"http": http}
    for side in ("input", "output"):
        if side in source:
            trimmed[side] = source[side]["shape"]
    if "resultWrapper" in source.get("output", {}):
        trimmed["resultWrapper"] = source["output"]["resultWrapper"]
    if source.get("authtype") == "none":
        trimmed["unsigned"] = True
    trimmed["errors"] = sorted(error["shape"] for error in source.get("errors", []))
    return trimmed


def shape(source):
    trimmed = keep(source, SHAPE)
    if "members" in source:
        trimmed["members"] = {name: reference(member) for name, member in source["members"].items()}
    for part in ("member", "key", "value"):
        if part in source:
            trimmed[part] = reference(source[part])
    if source.get("exception"):
        error = source.get("error", {})
        trimmed["error"] = {"status": error.get("httpStatusCode", 500 if source.get("fault") else 400)}
        if "code" in error:
            trimmed["error"]["code"] = error["code"]
        if source.get("fault"):
            trimmed["error"]["fault"] = True
    return trimmed


def lines(table):
    rows = (f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'))}" for name, value in sorted(table.items()))
    return "{\n" + ",\n".join(rows) + "\n}"


def main():
    loader = Loader(include_default_search_paths=True)
    for name in SERVICES:
        model = loader.load_service_model(name, "service-2")
        head = {"source": f"botocore {botocore.__version__}, Apache-2.0; trimmed by trim.py"}
        head.update(keep(model["metadata"], METADATA))
        operations = lines({key: operation(value) for key, value in model["operations"].items()})
        shapes = lines({key: shape(value) for key, value in model["shapes"].items()})
        text = f'{{"metadata":{json.dumps(head)},\n"operations":{operations},\n"shapes":{shapes}}}\n'
        json.loads(text)
        (HERE / f"{name}.json").write_text(text)
        print(f"{name}.json: {len(model['operations'])} operations, {len(model['shapes'])} shapes, {len(text)} bytes")


if __name__ == "__main__":
    main()
