"""A tracking server that stores nothing and answers at once: what MLflow's client costs by itself."""

from __future__ import annotations

import asyncio
import json
import sys

_RUN = {"run_id": "0" * 32, "run_uuid": "0" * 32, "experiment_id": "0", "run_name": "r", "status": "RUNNING"}
_INFO = {**_RUN, "start_time": 1, "lifecycle_stage": "active", "artifact_uri": "mlflow-artifacts:/0"}
_EXPERIMENT = {"experiment_id": "0", "name": "x", "artifact_location": "mlflow-artifacts:/0"}
_ANSWERS = {
    "runs/create": {"run": {"info": _INFO, "data": {}}},
    "runs/get": {"run": {"info": _INFO, "data": {}}},
    "runs/update": {"run_info": _INFO},
    "experiments/get": {"experiment": {**_EXPERIMENT, "lifecycle_stage": "active"}},
    "experiments/get-by-name": {"experiment": {**_EXPERIMENT, "lifecycle_stage": "active"}},
}


class Null(asyncio.Protocol):
    """Reads requests as far as their end, and answers each with a constant."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport, self._read = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._read += data
        while True:
            head, end, rest = self._read.partition(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(fields.get(b"content-length", 0))
            if not end or len(rest) < length:
                return
            self._read = rest[length:]
            name = head.split(b" ", 2)[1].decode().partition("?")[0].removeprefix("/api/2.0/mlflow/")
            body = json.dumps(_ANSWERS.get(name, {})).encode()
            start = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            self._transport.write(start.encode() + body)  # type: ignore[attr-defined]


async def _main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Null, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
