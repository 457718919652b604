import { createHash } from 'node:crypto';

/**
 * What must be one step runs as a script inside Redis: nothing comes in between, and all of it reaches the replicas or nothing. A
 * lease is a hash: e epoch (decimal), o owner, z zone, u updated, r when it was released.
 */

/**
 * The lease check and every write of a commit.
 * KEYS: the fence's lease if there is one; then per write the record and its index.
 * ARGV: the fence's epoch or '', 'v' or 'd', channels by commas or ''; then per write the record, how, milliseconds to live or '', member or ''.
 * `how`: 'g' the time was given, 'n' it is at least one above what was there, 'r' written again: only over something older.
 * Gives {1, owner, then for each time that had to be set later where the record stands and the time} or {0, epoch that is stored or '', 1 if released}.
 */
const COMMIT = `
local owner, k = '', 1
if ARGV[1] ~= '' then
  local l = redis.call('HMGET', KEYS[1], 'e', 'r', 'o')
  if l[1] ~= ARGV[1] or l[2] then return {0, l[1] or '', l[2] and 1 or 0} end
  owner, k = l[3] or '', 2
end
local volatile = ARGV[2] == 'v'
local done = {1, owner}
for a = 4, #ARGV, 4 do
  local key, new, how, ttl, member = KEYS[k], ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
  local old = redis.call('GETRANGE', key, 0, 63)
  local write, there = true, false
  if #old >= 40 and string.byte(old, 1) == 1 then
    there = string.byte(old, 2) ~= 1
    local oe, ou, _, oc = struct.unpack('<dddd', old, 9)
    local ne, nu, _, nc = struct.unpack('<dddd', new, 9)
    local oz, nz = string.sub(old, 41, 40 + string.byte(old, 3)), string.sub(new, 41, 40 + string.byte(new, 3))
    if string.sub(old, 5, 8) == string.sub(new, 5, 8) then
      write = nc >= oc
    elseif how == 'r' then
      write = ou < nu
    elseif volatile and oe > ne and (ne > 0 or oz ~= nz) then
      write = false
    elseif how == 'g' and oz ~= nz then
      local first, second = ou - nu, oe - ne
      if volatile then first, second = second, first end
      if first == 0 then first = second end
      if first > 0 or (first == 0 and oz > nz) then write = false end
    end
    if write and how == 'n' and nu <= ou then
      new = string.sub(new, 1, 16) .. struct.pack('<d', ou + 1) .. string.sub(new, 25)
      done[#done + 1] = a
      done[#done + 1] = string.sub(new, 17, 24)
    end
  end
  if write then
    if ttl == '' then redis.call('SET', key, new) else redis.call('SET', key, new, 'PX', ttl) end
    if member ~= '' then
      if string.byte(new, 2) == 1 then
        if there then redis.call('ZREM', KEYS[k + 1], member) end
      elseif not there then
        redis.call('ZADD', KEYS[k + 1], 0, member)
      end
    end
  end
  k = k + 2
end
for channel in string.gmatch(ARGV[3], '[^,]+') do redis.call('PUBLISH', channel, '') end
return done`;

/**
 * KEYS: the lease, the index of leases. ARGV: bundle, owner, zone, lowest epoch seen elsewhere, chance below 2^19, parity, ms to live.
 *
 * An epoch is a number times 2^20 plus chance and the zone's parity. The number is above what is stored and seen, and not below
 * the server's time in seconds: so a grant after a fail-over is above one that the new server has never heard of, and when two
 * servers grant in the same second, chance keeps the two apart. A clock that goes back only makes it count on from what is stored.
 */
const GRANT = `
local seen = math.max(tonumber(redis.call('HGET', KEYS[1], 'e')) or 0, tonumber(ARGV[4]))
local number = math.floor(seen / 1048576) + 1
local now = redis.call('TIME')
local seconds = tonumber(now[1]) - 1750000000
if seconds > number and seconds < 4294967296 then number = seconds end
if number >= 8589934592 then return redis.error_reply('EPOCHS the epochs of this bundle are used up') end
local epoch = string.format('%.0f', number * 1048576 + tonumber(ARGV[5]) * 2 + tonumber(ARGV[6]))
redis.call('HSET', KEYS[1], 'e', epoch, 'o', ARGV[2], 'z', ARGV[3], 'u', now[1])
redis.call('HDEL', KEYS[1], 'r')
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return epoch`;

/**
 * Puts a lease back that the server lost, or lets it live on. KEYS as above; ARGV: bundle, owner, zone, epoch, ms to live.
 * Gives the epoch that is stored afterwards: a higher one than given means that the bundle is held by another.
 */
const ASSERT = `
local l = redis.call('HMGET', KEYS[1], 'e', 'r')
local stored, ours = tonumber(l[1] or '0') or 0, tonumber(ARGV[4])
if stored > ours then return l[1] end
if stored == ours and l[2] then return string.format('%.0f', ours + 1) end
redis.call('HSET', KEYS[1], 'e', ARGV[4], 'o', ARGV[2], 'z', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return ARGV[4]`;

/** KEYS as above; ARGV: bundle, epoch, epoch of the tombstone, ms to live. Gives as the commit. */
const RELEASE = `
local l = redis.call('HMGET', KEYS[1], 'e', 'r')
if l[1] ~= ARGV[2] or l[2] then return {0, l[1] or '', l[2] and 1 or 0} end
redis.call('HSET', KEYS[1], 'e', ARGV[3], 'r', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZREM', KEYS[2], ARGV[1])
return {1, ''}`;

/** Takes a bundle whose lease has expired out of the index. KEYS as above; ARGV: bundle. */
const PRUNE = `
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[1]) end
return 1`;

/**
 * One page of an index with the records. KEYS: the index. ARGV: lowest and highest member as ZRANGEBYLEX takes them, how many, what
 * stands before a member in its record's key. Gives {member, record or nil, …}; the members of what has expired are taken out.
 */
const LIST = `
local found = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local out = {}
for i, member in ipairs(found) do
  local record = redis.pcall('GET', ARGV[4] .. member)
  if type(record) == 'table' then record = '' end
  if not record then redis.call('ZREM', KEYS[1], member) end
  out[2 * i - 1], out[2 * i] = member, record
end
return out`;

/**
 * KEYS: the stream. ARGV: chance, entry, entries kept, the entry's former id or ''. Ids are number-chance, each number one above the
 * last: an entry that was lost and the one that got its number later differ by chance, so that a reader's position cannot
 * mean both. Where somebody has deleted the last entry, the stream remembers its number. With a former id the entry is appended only if the server has lost it.
 */
const APPEND = `
if ARGV[4] ~= '' and #redis.call('XRANGE', KEYS[1], ARGV[4], ARGV[4]) > 0 then return ARGV[4] end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local number = 1
if last[1] then number = tonumber(string.match(last[1][1], '^(%d+)-')) + 1 end
local function add()
  return redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], string.format('%.0f', number) .. '-' .. ARGV[1], 'e', ARGV[2])
end
local id = add()
if type(id) == 'table' and id.err and string.find(id.err, 'equal or smaller', 1, true) then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for at = 1, #info, 2 do
    if info[at] == 'last-generated-id' then number = tonumber(string.match(info[at + 1], '^(%d+)-')) + 1 end
  end
  id = add()
end
return id`;

/** KEYS: the stream. ARGV: position or '', how many. A position that the server does not know begins anew: twice rather than never. */
const READ = `
local from = '-'
if ARGV[1] ~= '' and #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) > 0 then from = '(' .. ARGV[1] end
return redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[2])`;

/**
 * Who may speak of a pair over two machines. A zone's lease is a hash: h holder (a life of its supervisor), n count of renewals, t by
 * whom it was taken, e '1' when that life has ended for certain. KEYS: the zone's lease. ARGV: holder, holder and count of a life that is over or '', ms to live. Gives {1} or {0, h, n}.
 */
const ZONE_BEGIN = `
local l = redis.call('HMGET', KEYS[1], 'h', 'n', 't')
if l[1] and not l[3] and l[1] ~= ARGV[1] and not (l[1] == ARGV[2] and l[2] == ARGV[3]) then return {0, l[1], l[2] or '0'} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'h', ARGV[1], 'n', '0')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {1}`;

/** KEYS: the zone's lease, its twin's. ARGV: holder, count, ms to live. Gives {1, the twin's h, n, t, e} or {0}. */
const ZONE_RENEW = `
local l = redis.call('HMGET', KEYS[1], 'h', 't', 'e')
if l[1] and (l[1] ~= ARGV[1] or l[2] or l[3]) then return {0} end
redis.call('HSET', KEYS[1], 'h', ARGV[1], 'n', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local o = redis.call('HMGET', KEYS[2], 'h', 'n', 't', 'e')
return {1, o[1] or '', o[2] or '', o[3] or '', o[4] or ''}`;

/**
 * KEYS as above. ARGV: holder, the twin's h and n as they were seen, ms to live. Gives 'claimed', 'changed' or 'lost'. A lease that
 * the server has lost is put back as it was seen: who holds it may just be about to do the same.
 */
const ZONE_CLAIM = `
local l = redis.call('HMGET', KEYS[1], 'h', 't', 'e')
if l[1] ~= ARGV[1] or l[2] or l[3] then return 'lost' end
local o = redis.call('HMGET', KEYS[2], 'h', 'n')
if not o[1] then
  redis.call('HSET', KEYS[2], 'h', ARGV[2], 'n', ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  return 'changed'
end
if o[1] ~= ARGV[2] or o[2] ~= ARGV[3] then return 'changed' end
redis.call('HSET', KEYS[2], 't', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 'claimed'`;

/** KEYS: the zone's lease. Gives its h, n, t, e. */
const ZONE_LOOK = `return redis.call('HMGET', KEYS[1], 'h', 'n', 't', 'e')`;

/** KEYS: the zone's lease. ARGV: the holder whose life has ended. Gives 1 when it is its lease. */
const ZONE_END = `
if redis.call('HGET', KEYS[1], 'h') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'e', '1')
return 1`;

const SOURCES = {
  commit: COMMIT,
  grant: GRANT,
  assert: ASSERT,
  release: RELEASE,
  prune: PRUNE,
  list: LIST,
  append: APPEND,
  read: READ,
  zoneBegin: ZONE_BEGIN,
  zoneRenew: ZONE_RENEW,
  zoneClaim: ZONE_CLAIM,
  zoneLook: ZONE_LOOK,
  zoneEnd: ZONE_END,
} as const;

export type ScriptName = keyof typeof SOURCES;

export interface RedisScript {
  readonly source: string;
  readonly sha: string;
}

export const REDIS_SCRIPTS = Object.fromEntries(
  Object.entries(SOURCES).map(([name, source]) => [
    name,
    { source, sha: createHash('sha1').update(source).digest('hex') },
  ]),
) as Readonly<Record<ScriptName, RedisScript>>;
