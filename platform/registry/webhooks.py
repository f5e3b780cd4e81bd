"""placeholder"""
from __future__ import annotations
from sqlmodel import Session
def announce(session: Session, event: str, data: object) -> None: ...
