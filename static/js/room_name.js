// What rooms may be called: the rule of chat/names.py.

const ROOM = /^[\p{L}\p{Nd}\-_.:@~][\p{L}\p{M}\p{Nd}\-_.:@~]*$/u;
const LENGTH = 128;

// Returns a sentence, or "" if the name is good.
export function roomProblem(room) {
  if (!room) return "Enter the room’s name.";
  if ([...room].length > LENGTH) return `A room’s name may have ${LENGTH} characters.`;
  return ROOM.test(room) ? "" : "Room names may use letters, digits and - _ . : @ ~, and no spaces.";
}
