import { LIMITS } from '../../protocol.js';
import { CHANNEL } from './redis.keys.js';

/*
 * What must be one step. Every script is given KEYS[1], the generation of its partition, and ARGV[1] to ARGV[3]: the
 * generation as the caller knows it, an epoch for whoever needs a new one, and the caller's node. A caller that
 * knows another generation is told `stale` and nothing else happens: Redis was restarted, perhaps with less than
 * it had.
 *
 * Those of one session go on with KEYS[2] to KEYS[13]: record, log, messages, places, requests, gone, all, idle,
 * empty, attached, due, agents.
 */

/**
 * What begins with this is also done by a Redis that is at its `maxmemory`: it takes next to nothing, and without it
 * nobody would know any more who lives and who runs what.
 */
const FULL = '#!lua flags=allow-oom\n';

const PRELUDE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'stale'} end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- Under another run of Redis the end of this history may be missing: whoever saw it must not take what comes
-- now for what follows.
local function epochOf(record, known, generation)
  if generation == ARGV[1] then return known end
  redis.call('HSET', record, 'epoch', ARGV[2], 'generation', ARGV[1])
  return ARGV[2]
end
local function publish(nodes, id, epoch, from, to, events)
  local message = nil
  for node in string.gmatch(nodes, '%S+') do
    if node ~= ARGV[3] then
      message = message or table.concat({'{"packet":{"sessionId":', cjson.encode(id), ',"epoch":"', epoch, '","from":', from, ',"to":', to, ',"events":', events, '}}'})
      redis.call('PUBLISH', '${CHANNEL}' .. node, message)
    end
  end
end
`;

const SESSION = `
local function text(number) return string.format('%.0f', number) end
-- The commands from a place among the arguments on: the number of their words, then these, keys by number after a #.
local function run(at)
  while at <= #ARGV do
    local words = {}
    for word = 1, tonumber(ARGV[at]) do
      local given = ARGV[at + word]
      local number = word == 2 and string.match(given, '^#(%d+)$')
      words[word] = number and KEYS[tonumber(number)] or given
    end
    redis.call(unpack(words))
    at = at + tonumber(ARGV[at]) + 1
  end
end
-- Puts a session into the indexes in which it belongs now.
local function index(id)
  local nodes, busy, used, idle, held = unpack(redis.call('HMGET', KEYS[2], 'nodes', 'busy', 'used', 'idle', 'held'))
  redis.call('ZREM', KEYS[9], id)
  redis.call('ZREM', KEYS[10], id)
  if nodes == '' then
    redis.call('SREM', KEYS[11], id)
    if busy == '0' then redis.call('ZADD', used == '1' and KEYS[9] or KEYS[10], idle, id) end
  else
    redis.call('SADD', KEYS[11], id)
  end
  if held == '0' and busy == '0' then redis.call('ZREM', KEYS[12], id) end
end
local function without(nodes, node)
  local left = {}
  for each in string.gmatch(nodes, '%S+') do
    if each ~= node then left[#left + 1] = each end
  end
  return table.concat(left, ' ')
end
local function detach(id, node, at)
  local nodes, idle = unpack(redis.call('HMGET', KEYS[2], 'nodes', 'idle'))
  if not nodes then return end
  local left = without(nodes, node)
  if left == nodes then return end
  redis.call('HSET', KEYS[2], 'nodes', left)
  if left == '' then
    redis.call('HSET', KEYS[2], 'left', at)
    if tonumber(idle) < tonumber(at) then redis.call('HSET', KEYS[2], 'idle', at) end
  end
  index(id)
end
`;

/**
 * The record, and fields of other hashes of the session that a decision needs.
 * ARGV: [4…] pairs of a key's number and a field. Reply: `ok`, the record flat, the fields; or `ok` alone and `gone`.
 */
const LOAD =
  FULL +
  PRELUDE +
  `
local record = redis.call('HGETALL', KEYS[2])
if #record == 0 then return {'ok', {}, redis.call('GET', KEYS[7])} end
local epoch, generation = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'generation'))
if generation ~= ARGV[1] then
  epochOf(KEYS[2], epoch, generation)
  record = redis.call('HGETALL', KEYS[2])
end
local fields = {}
for each = 4, #ARGV, 2 do
  fields[#fields + 1] = redis.call('HGET', KEYS[tonumber(ARGV[each])], ARGV[each + 1])
end
return {'ok', record, fields}
`;

/**
 * Changes a session as a whole, if it still is as the change was decided on.
 * ARGV: [4] id [5] last moment, 0: none [6] revision, empty: it must not exist yet [7] fence, empty: nobody's
 * [8] the change's own id [9] events as a JSON array [10] their number [11] when that seals the log, or empty
 * [12] 1: the session ends [13] the value of `gone` that was seen [14] how many sessions its owner may have here
 * [15] the owner's index, a key's number [16] for how long whoever accepted may claim first [17] for how long a log is
 * kept once nothing runs; then commands, each after the number of its words, with keys by their numbers after a `#`.
 * Reply: `done`, from, to, epoch; or why not.
 */
const COMMIT =
  PRELUDE +
  SESSION +
  `
if ARGV[5] ~= '0' and now() > tonumber(ARGV[5]) then return {'late'} end
local id = ARGV[4]
local revision, held, fence, seq, epoch, generation, nodes, last, lastFrom = unpack(redis.call('HMGET', KEYS[2],
  'revision', 'held', 'fence', 'seq', 'epoch', 'generation', 'nodes', 'last', 'lastFrom'))
if last == ARGV[8] then return {'done', tonumber(lastFrom), tonumber(lastFrom) + tonumber(ARGV[10]), epoch} end
if ARGV[6] == '' then
  if revision or (redis.call('GET', KEYS[7]) or '') ~= ARGV[13] then return {'conflict'} end
  if ARGV[14] ~= '' and redis.call('ZCARD', KEYS[tonumber(ARGV[15])]) >= tonumber(ARGV[14]) then return {'too_many'} end
else
  if not revision then return {'absent'} end
  if ARGV[7] ~= '' then
    if tonumber(fence) < tonumber(ARGV[7]) then return {'absent'} end
    if held ~= ARGV[7] then return {'deposed'} end
  end
  if revision ~= ARGV[6] then return {'conflict'} end
end
local ends = ARGV[12] == '1'
if ends and generation ~= ARGV[1] then epoch = ARGV[2]
elseif revision then epoch = epochOf(KEYS[2], epoch, generation) end
local count = tonumber(ARGV[10])
local from = tonumber(seq or 0)
local to = from + count
if ends then
  -- First of all: a Redis that is full takes no other write before this one.
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
  redis.call('ZREM', KEYS[8], id)
  redis.call('ZREM', KEYS[9], id)
  redis.call('ZREM', KEYS[10], id)
  redis.call('SREM', KEYS[11], id)
  redis.call('ZREM', KEYS[12], id)
  run(18)
else
  run(18)
  redis.call('HINCRBY', KEYS[2], 'revision', 1)
  redis.call('HSET', KEYS[2], 'last', ARGV[8], 'lastFrom', from, 'seq', to)
  if not revision then
    redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'generation', ARGV[1])
    epoch = ARGV[2]
  end
  if count > 0 then
    redis.call('XADD', KEYS[3], to .. '-0', 'from', from, 'events', ARGV[9], 'sealed', ARGV[11])
  end
  local busy = redis.call('HGET', KEYS[2], 'busy')
  -- What is replayed of an idle session is kept for the resume window, and not past it.
  if busy == '1' then redis.call('PERSIST', KEYS[3]) else redis.call('PEXPIRE', KEYS[3], ARGV[17]) end
  -- A lease that is kept has its place there, and keeps it.
  if busy == '1' then redis.call('ZADD', KEYS[12], 'NX', text(now() + tonumber(ARGV[16])), id) end
  index(id)
end
if count > 0 then publish(nodes or '', id, epoch, from, to, ARGV[9]) end
return {'done', from, to, epoch}
`;

/**
 * The next events of running turns, many sessions at once. KEYS: after the generation record and log of each.
 * ARGV: from [4] on five of each: id, fence, how many appends of that fence it is, number of events, their JSON.
 * Reply: of each `from` and epoch; or `deposed`; or `lost`, where Redis holds less than this owner wrote.
 */
const APPEND =
  PRELUDE +
  `
local replies = {}
for each = 0, (#KEYS - 1) / 2 - 1 do
  local record, log = KEYS[2 + each * 2], KEYS[3 + each * 2]
  local id, fence, number, count, events = unpack(ARGV, 4 + each * 5, 8 + each * 5)
  local held, lastFence, seq, epoch, generation, nodes, appends, lastFrom = unpack(redis.call('HMGET', record,
    'held', 'fence', 'seq', 'epoch', 'generation', 'nodes', 'appends', 'appendFrom'))
  local reply
  if not lastFence or tonumber(lastFence) < tonumber(fence) then
    reply = 'lost'
  elseif held ~= fence then
    reply = 'deposed'
  elseif tonumber(appends) == tonumber(number) then
    reply = {tonumber(lastFrom), epoch}
  elseif tonumber(appends) + 1 ~= tonumber(number) then
    reply = 'lost'
  else
    epoch = epochOf(record, epoch, generation)
    local from = tonumber(seq)
    local to = from + tonumber(count)
    redis.call('HSET', record, 'seq', to, 'appends', number, 'appendFrom', from)
    redis.call('XADD', log, to .. '-0', 'from', from, 'events', events, 'sealed', '')
    if nodes ~= '' then publish(nodes, id, epoch, from, to, events) end
    reply = {from, epoch, nodes}
  end
  replies[#replies + 1] = reply
end
return {'ok', replies}
`;

/**
 * What a client at a position lacks.
 * ARGV: [4] epoch or empty [5] seq [6] sealed before: past [7] most characters [8] most messages [9] most bytes of them
 * Reply: `ok`, record, then `replay`, entries, 1 where more follow; or `snapshot`, messages newest first, 1 where
 * older are stored, entries of the running turn.
 */
const READ =
  FULL +
  PRELUDE +
  `
local record = redis.call('HGETALL', KEYS[2])
if #record == 0 then return {'ok', {}} end
local epoch, generation, seq, start, nextPlace = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'generation', 'seq', 'start', 'next'))
if generation ~= ARGV[1] then
  epoch = epochOf(KEYS[2], epoch, generation)
  record = redis.call('HGETALL', KEYS[2])
end
-- The entries after a position, in order; nothing where some of them are not held any more.
local function after(position, limit, past)
  local entries, size, reached = {}, 0, position
  local target = tonumber(seq)
  while reached < target do
    local page = redis.call('XRANGE', KEYS[3], '(' .. reached .. '-0', '+', 'COUNT', 32)
    if #page == 0 then return nil end
    for _, entry in ipairs(page) do
      local fields = entry[2]
      if tonumber(fields[2]) > reached then return nil end
      -- The first end of a turn after the position decides: later ones are younger.
      if past and fields[6] ~= '' then
        if tonumber(fields[6]) < past then return nil end
        past = nil
      end
      if size > 0 and size + #fields[4] > limit then return entries, 1 end
      entries[#entries + 1] = {fields[2], fields[4]}
      size = size + #fields[4]
      reached = tonumber(string.match(entry[1], '^%d+'))
    end
  end
  return entries, 0
end
if ARGV[4] == epoch and tonumber(ARGV[5]) <= tonumber(seq) then
  local entries, rest = after(tonumber(ARGV[5]), tonumber(ARGV[7]), tonumber(ARGV[6]))
  if entries then return {'ok', record, 'replay', entries, rest} end
end
local messages, size, older, place = {}, 0, 0, tonumber(nextPlace) - 1
while place >= 0 do
  local message = redis.call('HGET', KEYS[4], place)
  if message then
    size = size + #message
    if #messages == tonumber(ARGV[8]) or (#messages > 0 and size > tonumber(ARGV[9])) then older = 1 break end
    messages[#messages + 1] = message
  end
  place = place - 1
end
local present = {}
if start ~= '' then present = after(tonumber(start) - 1, math.huge, nil) or {} end
return {'ok', record, 'snapshot', messages, older, present}
`;

/**
 * Whoever runs its turns from now on. ARGV: [4] id [5] how long the lease lasts [6] 1: also where somebody's lease is
 * over. Reply: `ok` and the fence, or `no`.
 */
const CLAIM =
  FULL +
  PRELUDE +
  SESSION +
  `
local held = redis.call('HGET', KEYS[2], 'held')
if not held then return {'no'} end
local free = redis.call('ZSCORE', KEYS[12], ARGV[4])
if held ~= '0' and (ARGV[6] ~= '1' or (free and tonumber(free) > now())) then return {'no'} end
-- By the clock, so that Redis with older data than it had gives no fence that somebody has already: in microseconds,
-- as no script is done in one, and still far below 2^53.
local time = redis.call('TIME')
local fence = text(math.max(tonumber(redis.call('HGET', KEYS[2], 'fence')) + 1, time[1] * 1000000 + time[2]))
redis.call('HSET', KEYS[2], 'fence', fence, 'held', fence, 'owner', ARGV[3], 'appends', 0, 'appendFrom', 0)
redis.call('ZADD', KEYS[12], text(now() + tonumber(ARGV[5])), ARGV[4])
return {'ok', tonumber(fence)}
`;

/** ARGV: [4] id [5] fence. */
const RELEASE =
  FULL +
  PRELUDE +
  SESSION +
  `
if redis.call('HGET', KEYS[2], 'held') ~= ARGV[5] then return {'ok'} end
redis.call('HSET', KEYS[2], 'held', 0, 'owner', '')
if redis.call('HGET', KEYS[2], 'busy') == '1' then redis.call('ZADD', KEYS[12], 0, ARGV[4])
else redis.call('ZREM', KEYS[12], ARGV[4]) end
return {'ok'}
`;

/**
 * Keeps leases. KEYS[2]: due; then a record each. ARGV: [4] how long they last, then id, fence and number of appends
 * of each. Reply: of each `ok`, `deposed` or `lost`.
 */
const RENEW =
  FULL +
  PRELUDE +
  `
local replies = {}
local ends = string.format('%.0f', now() + tonumber(ARGV[4]))
for each = 0, #KEYS - 3 do
  local id, fence, number = unpack(ARGV, 5 + each * 3, 7 + each * 3)
  local held, last, appends = unpack(redis.call('HMGET', KEYS[3 + each], 'held', 'fence', 'appends'))
  local reply = 'ok'
  if not last or tonumber(last) < tonumber(fence) then reply = 'lost'
  elseif held ~= fence then reply = 'deposed'
  elseif tonumber(appends) < tonumber(number) then reply = 'lost'
  else redis.call('ZADD', KEYS[2], ends, id) end
  replies[#replies + 1] = reply
end
return {'ok', replies}
`;

/**
 * Writes what its owner holds of a session whose end, or all of it, Redis has lost.
 * ARGV: [4] id [5] fence [6] how long the lease lasts [7] when the session was made [8] seq [9] appends [10] the
 * running turn's place [11] the revision that was read, empty: there was none; then commands as of a commit.
 * Reply: `done` and the epoch, or `deposed`, or `conflict`: it was changed since it was read.
 */
const RESTORE =
  PRELUDE +
  SESSION +
  `
local fence, born, nodes, appends, epoch, revision = unpack(redis.call('HMGET', KEYS[2],
  'fence', 'born', 'nodes', 'appends', 'epoch', 'revision'))
-- Somebody went on with it, or made another one of that id.
if fence and (tonumber(fence) > tonumber(ARGV[5]) or born ~= ARGV[7]) then return {'deposed'} end
-- Or it ended, so that there is nothing to find.
if redis.call('EXISTS', KEYS[7]) == 1 then return {'deposed'} end
-- Asked twice, since the first answer did not come: what was written since then stays.
if fence == ARGV[5] and tonumber(appends) >= tonumber(ARGV[9]) then return {'done', epoch} end
if (revision or '') ~= ARGV[11] then return {'conflict'} end
redis.call('DEL', KEYS[3])
-- What older data holds from the turn on was withdrawn since.
for _, of in ipairs({4, 5}) do
  local fields = redis.call('HGETALL', KEYS[of])
  for each = 1, #fields, 2 do
    if tonumber(of == 4 and fields[each] or fields[each + 1]) >= tonumber(ARGV[10]) then redis.call('HDEL', KEYS[of], fields[each]) end
  end
end
redis.call('HINCRBY', KEYS[2], 'revision', 1)
redis.call('HSET', KEYS[2], 'epoch', ARGV[2], 'generation', ARGV[1], 'seq', ARGV[8], 'nodes', nodes or '', 'left', text(now()),
  'born', ARGV[7], 'fence', ARGV[5], 'held', ARGV[5], 'owner', ARGV[3], 'appends', ARGV[9], 'appendFrom', ARGV[8], 'last', '', 'lastFrom', 0)
run(12)
redis.call('ZADD', KEYS[12], text(now() + tonumber(ARGV[6])), ARGV[4])
index(ARGV[4])
return {'done', ARGV[2]}
`;

/** A node has a socket on it. KEYS[14]: what the node holds. ARGV: [4] id. Reply: `ok`, or `absent`. */
const ATTACH =
  PRELUDE +
  SESSION +
  `
local nodes = redis.call('HGET', KEYS[2], 'nodes')
if not nodes then return {'absent'} end
local others = without(nodes, ARGV[3])
redis.call('HSET', KEYS[2], 'nodes', others == '' and ARGV[3] or (others .. ' ' .. ARGV[3]))
redis.call('SADD', KEYS[14], ARGV[4])
index(ARGV[4])
return {'ok'}
`;

/** A node has no socket on it any more. KEYS[14]: what the node holds. ARGV: [4] id [5] the node [6] when. */
const DETACH =
  FULL +
  PRELUDE +
  SESSION +
  `
redis.call('SREM', KEYS[14], ARGV[4])
detach(ARGV[4], ARGV[5], ARGV[6])
return {'ok'}
`;

/**
 * Sessions that have an open turn, and whom anybody may claim. KEYS[2]: due. ARGV: [4] what the names of records begin
 * with. Reply: `ok`, ids.
 */
const DUE =
  PRELUDE +
  `
local due = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now()), 'LIMIT', 0, ${LIMITS.historyPage * 10})) do
  local busy = redis.call('HGET', ARGV[4] .. id, 'busy')
  if busy == '1' then due[#due + 1] = id
  else
    redis.call('ZREM', KEYS[2], id)
    -- Its owner died after the last turn had ended: whoever comes next may claim it at once.
    if busy then redis.call('HSET', ARGV[4] .. id, 'held', 0, 'owner', '') end
  end
end
return {'ok', due}
`;

/**
 * A node's sign of life. KEYS[1]: the nodes. ARGV: [1] node [2] since when unseen nodes count as dead, ms.
 * Reply: now, 1 where others had not forgotten it, the dead.
 */
const BEAT = `${FULL}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
return {now, known, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[2])))}
`;

/** Gives a lock back, unless somebody else has it by now. KEYS[1]: the lock. ARGV: [1] what it was taken with. */
const UNLOCK = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`;

/** KEYS: a generation, since when it is that one. ARGV: [1] the run of Redis. Reply: how long ago it began, ms. */
const BEGIN = `${FULL}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1])
  redis.call('SET', KEYS[2], string.format('%.0f', now))
end
return now - tonumber(redis.call('GET', KEYS[2]) or now)
`;

export const SCRIPTS = {
  load: LOAD,
  commit: COMMIT,
  append: APPEND,
  read: READ,
  claim: CLAIM,
  release: RELEASE,
  renew: RENEW,
  restore: RESTORE,
  attach: ATTACH,
  detach: DETACH,
  due: DUE,
  beat: BEAT,
  begin: BEGIN,
  unlock: UNLOCK,
} as const;

export type ScriptName = keyof typeof SCRIPTS;
