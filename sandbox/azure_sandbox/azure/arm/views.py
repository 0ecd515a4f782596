"""`instanceView`: a guest's observation as the service writes it, and back from a file."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from azure_sandbox.guest.api import ContainerState, ContainerView, Event, GroupView

Json = Mapping[str, Any]


def timestamp(moment: dt.datetime) -> str:
    """Return a time as the service writes it: UTC with a Z."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event_json(event: Event) -> dict[str, Any]:
    """Return one entry of an `events` list."""
    return {
        "count": event.count,
        "firstTimestamp": timestamp(event.first_timestamp),
        "lastTimestamp": timestamp(event.last_timestamp),
        "name": event.name,
        "message": event.message,
        "type": event.type,
    }


def container_json(view: ContainerView) -> dict[str, Any]:
    """Return the `instanceView` of a container; `restartCount` and `detailStatus` are always there."""
    content = {
        "restartCount": view.restart_count,
        "currentState": _state_json(view.current_state),
        "events": [event_json(event) for event in view.events],
    }
    if view.previous_state is not None:
        content["previousState"] = _state_json(view.previous_state)
    return content


def group_json(view: GroupView) -> dict[str, Any]:
    """Return the `instanceView` of a group."""
    return {"state": view.state, "events": [event_json(event) for event in view.events]}


def to_json(view: GroupView) -> dict[str, Any]:
    """Return a whole observation for a file."""
    return group_json(view) | {
        "containers": [{"name": one.name} | container_json(one) for one in view.containers],
        "initContainers": [{"name": one.name} | container_json(one) for one in view.init_containers],
    }


def from_json(content: Json) -> GroupView:
    """Read an observation from a file."""
    return GroupView(
        state=content["state"],
        events=tuple(map(_event, content["events"])),
        containers=tuple(map(_container, content["containers"])),
        init_containers=tuple(map(_container, content["initContainers"])),
    )


def _state_json(state: ContainerState) -> dict[str, Any]:
    content: dict[str, Any] = {"state": state.state, "detailStatus": state.detail_status}
    if state.start_time is not None:
        content["startTime"] = timestamp(state.start_time)
    if state.finish_time is not None:
        content["finishTime"] = timestamp(state.finish_time)
    if state.exit_code is not None:
        content["exitCode"] = state.exit_code
    return content


def _event(content: Json) -> Event:
    return Event(
        name=content["name"],
        type=content["type"],
        message=content["message"],
        first_timestamp=dt.datetime.fromisoformat(content["firstTimestamp"]),
        last_timestamp=dt.datetime.fromisoformat(content["lastTimestamp"]),
        count=content["count"],
    )


def _container(content: Json) -> ContainerView:
    return ContainerView(
        name=content["name"],
        current_state=_state(content["currentState"]),
        previous_state=_state(content["previousState"]) if "previousState" in content else None,
        restart_count=content["restartCount"],
        events=tuple(map(_event, content["events"])),
    )


def _state(content: Json) -> ContainerState:
    moments = {
        name: dt.datetime.fromisoformat(content[name]) for name in ("startTime", "finishTime") if name in content
    }
    return ContainerState(
        state=content["state"],
        start_time=moments.get("startTime"),
        finish_time=moments.get("finishTime"),
        exit_code=content.get("exitCode"),
        detail_status=content["detailStatus"],
    )
