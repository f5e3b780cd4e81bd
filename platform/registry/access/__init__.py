"""Who may do what in a workspace, and who did what: API tokens with roles, and the audit log.

Tokens and log live in the workspace's registry, so a token is valid in exactly one workspace. The server of
`raylake.console` checks tokens and writes the log. Code that opens the storage itself does not pass the server:
file permissions and the database's own users guard that way in.

Example:
    >>> import tempfile
    >>> from raylake.core import Workspace
    >>> from raylake.registry import access
    >>> ws = Workspace.open(tempfile.mkdtemp())
    >>> made = access.create_token(ws, "ann", role="editor", note="laptop")
    >>> access.verify(ws, made.secret).user
    'ann'
    >>> access.revoke_token(ws, made.token.id).state()
    'revoked'
    >>> [entry.action for entry in access.audit(ws)]
    ['token.revoke', 'token.create']
"""

from .log import audit, record_changes
from .records import PERMISSIONS, ROLES, AuditEntry, NewToken, Token
from .retention import expire_audit
from .tokens import create_token, mark_used, revoke_token, token, tokens, verify

__all__ = [
    "PERMISSIONS",
    "ROLES",
    "AuditEntry",
    "NewToken",
    "Token",
    "audit",
    "create_token",
    "expire_audit",
    "mark_used",
    "record_changes",
    "revoke_token",
    "token",
    "tokens",
    "verify",
]
