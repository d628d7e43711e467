"""Notifications: a shop publishes, from routes and background jobs; whoever is signed in listens.

    CHAT_BROKER_URL=redis://localhost:6379/0 uvicorn examples.notifications:app --workers 2

Then listen at ws://localhost:8000/notifications?token=token-of-ada, and from another terminal

    curl -X POST 'http://localhost:8000/orders/17/ship?customer=ada'
"""

from __future__ import annotations

from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, Query, Request, WebSocket, WebSocketException
from fastapi.responses import JSONResponse

from chat import BrokerUnavailable, ConnectionManager, User

CUSTOMERS = {"token-of-ada": "ada", "token-of-bob": "bob"}  # stands for your own sign-in
SHOP = User("shop", "The shop")

manager = ConnectionManager()
app = FastAPI(lifespan=manager.lifespan)


async def get_customer(token: Annotated[str, Query()] = "") -> str:
    """Return who is signed in; refused before accept, so with HTTP 403 on the wire."""
    if token not in CUSTOMERS:
        raise WebSocketException(1008, "sign in first")
    return CUSTOMERS[token]


@app.websocket("/notifications")
async def notifications(websocket: WebSocket, customer: Annotated[str, Depends(get_customer)]) -> None:
    """Send the newest ten, then whatever comes. What the client sends is ignored."""
    async with manager.connect(websocket, f"customer:{customer}", newest=10) as connection:
        async for _ in connection:
            pass


@app.post("/orders/{order}/ship")
async def ship(order: int, customer: str) -> dict[str, int]:
    """Ship, and say so at once. The id makes a repeated request harmless."""
    receipt = await manager.publish(
        f"customer:{customer}", data={"event": "shipped", "order": order}, user=SHOP, id=f"shipped-{order}"
    )
    return {"offset": receipt.offset}


@app.post("/orders/{order}/invoice", status_code=202)
async def invoice(order: int, customer: str, background: BackgroundTasks) -> None:
    """Answer now; make the invoice afterwards, and say when it is there."""
    background.add_task(make_invoice, order, customer)


async def make_invoice(order: int, customer: str) -> None:
    """Run after the response; here is where the work would be."""
    await manager.publish(f"customer:{customer}", data={"event": "invoiced", "order": order}, user=SHOP)


@app.exception_handler(BrokerUnavailable)
async def try_again(request: Request, error: BrokerUnavailable) -> JSONResponse:
    """Nothing was published: the caller may repeat the request."""
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": str(-(-error.retry_ms // 1000))})
