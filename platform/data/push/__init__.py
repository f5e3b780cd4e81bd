"""Push: events that others send. Durable when answered, in the table exactly once."""

from .app import PushDoor, push_app
from .inbox import Accepted, Inbox
from .log import EventLog
from .log_reader import PushLog, push_source

__all__ = ["Accepted", "EventLog", "Inbox", "PushDoor", "PushLog", "push_app", "push_source"]
