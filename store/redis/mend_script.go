package redis

// The scripts of mend.go. Each looks whether it still is the same life of Redis
// and the same mending.

const (
	mendFor   = "300000" // ms that a list is kept for one that says nothing more
	mendTries = 25       // of one page, before it is made smaller, or the slot is left for later
	mendPage  = 200      // differences that are mended at once
	mendMark  = "!"      // before the name of a mending on its list: no key begins like that

	lifeOf = `
local function life()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
end
`
	mendHead = lifeOf + `
if life() ~= ARGV[2] or redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return {'lost'} end
`
)

var (
	// sureScript says whether a slot was found right in this life. KEYS[1] the note.
	sureScript = newScript(lifeOf + `if redis.call('GET', KEYS[1]) == life() then return 1 end return 0`)

	// beginScript begins a list, unless the slot was found right in this life.
	// KEYS: list, note. ARGV: mark, ms. It returns the life, and 1 if it began.
	beginScript = newScript(lifeOf + `
local l = life()
if redis.call('GET', KEYS[2]) == l then return {l, 0} end
redis.call('DEL', KEYS[1])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {l, 1}`)

	// takeScript empties a list. KEYS: list. ARGV: mark, life, ms. It returns 'ok' and what
	// was on it.
	takeScript = newScript(mendHead + `
local out = {'ok'}
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if key ~= ARGV[1] then out[#out + 1] = key end
end
if #out > 1 then
  redis.call('DEL', KEYS[1])
  redis.call('SADD', KEYS[1], ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return out`)

	// mendScript mends, unless something is on the list. KEYS: list, then those
	// to be mended. ARGV: mark, life, then how, the place of a key, member, value.
	mendScript = newScript(mendHead + `
if redis.call('SCARD', KEYS[1]) > 1 then return {'moved'} end
local call = redis.call
for i = 3, #ARGV, 4 do
  local how, k, m, v = ARGV[i], KEYS[tonumber(ARGV[i + 1])], ARGV[i + 2], ARGV[i + 3]
  if how == 'zset' then call('ZADD', k, v, m)
  elseif how == 'no zset' then call('ZREM', k, m)
  elseif how == 'hash' then call('HSET', k, m, v)
  elseif how == 'no hash' then call('HDEL', k, m)
  elseif how == 'set' then call('SADD', k, m)
  elseif how == 'no set' then call('SREM', k, m)
  elseif how == 'bits' then call('SETBIT', k, m, 1)
  elseif how == 'no bits' then
    call('SETBIT', k, m, 0)
    if call('BITCOUNT', k) == 0 then call('DEL', k) end
  else return redis.error_reply('ERR mend: unknown ' .. how)
  end
end
return {'ok'}`)

	// rightScript notes that a slot was found right. KEYS: list, note. ARGV: mark, life.
	rightScript = newScript(mendHead + `
redis.call('SET', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[1])
return {'ok'}`)
)
