"""Greets whoever the event names."""

import os

GREETING = os.environ.get("GREETING", "Hello")


def handler(event, context):
    name = event.get("name", "world")
    print(f"greeting {name}; {context.get_remaining_time_in_millis()} ms are left")
    return {"message": f"{GREETING}, {name}!", "function": context.function_name}
