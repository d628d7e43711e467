// Node.js with `ws` and Redis: what is said goes to a channel per room, and from there to every socket of the room.
'use strict';

const { createClient } = require('redis');
const { WebSocketServer } = require('ws');

const [port, url] = process.argv.slice(2);
const rooms = new Map();

async function main() {
  const publisher = createClient({ url });
  const subscriber = createClient({ url });
  await Promise.all([publisher.connect(), subscriber.connect()]);

  const server = new WebSocketServer({ host: '127.0.0.1', port: Number(port), perMessageDeflate: false, backlog: 4096 });
  server.on('connection', (socket, request) => {
    const room = request.url.split('?')[0];
    if (!rooms.has(room)) {
      rooms.set(room, new Set());
      subscriber.subscribe(room, (text) => rooms.get(room).forEach((member) => member.send(text)));
    }
    rooms.get(room).add(socket);
    socket.on('message', (data) => publisher.publish(room, data.toString()));
    socket.on('close', () => rooms.get(room).delete(socket));
  });
}

main();
