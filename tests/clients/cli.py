"""The `dormouse` command, as the tests use it beside boto3."""

import json
import os
import subprocess


def dormouse(*arguments, check=True, input=None):
    ran = subprocess.run([os.environ["DORMOUSE_BIN"], *arguments], capture_output=True, text=True, input=input)
    if check:
        assert ran.returncode == 0, f"{arguments}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran


def records_of_log(name):
    return [json.loads(line) for line in dormouse("logs", name, "--output", "json").stdout.splitlines()]


def lines_of_log(name):
    return [record["text"] for record in records_of_log(name)]
