"""The last example of FastAPI's WebSockets tutorial, grown up: one room, however many processes serve it.

    CHAT_BROKER_URL=redis://localhost:6379/0 uvicorn examples.raw_chat:app --workers 2

Then connect to ws://localhost:8000/ws/1 and ws://localhost:8000/ws/2: what one sends, both get.
"""

from __future__ import annotations

from contextlib import suppress

from fastapi import FastAPI, WebSocket

from chat import BrokerUnavailable, ConnectionManager, User

manager = ConnectionManager()  # CHAT_BROKER_URL says through which broker; without it, one process
app = FastAPI(lifespan=manager.lifespan)

LOBBY = "lobby"
NARRATOR = User("narrator", "Narrator")  # says what no member says


@app.websocket("/ws/{client_id}")
async def websocket_endpoint(websocket: WebSocket, client_id: int) -> None:
    """Join the lobby; what the client sends is said there, until it leaves."""
    async with manager.connect(websocket, LOBBY) as connection:
        async for said in connection:
            text = said if isinstance(said, str) else f"{len(said)} bytes"
            try:
                await connection.publish(f"Client #{client_id} says: {text}")
                answer = f"You wrote: {text}"
            except BrokerUnavailable as error:
                answer = f"Not said, try again: {error}"
            connection.send(answer)  # to this client alone
    with suppress(BrokerUnavailable):
        await manager.publish(LOBBY, f"Client #{client_id} left the chat", user=NARRATOR)
