package redis

import (
	"strconv"

	"github.com/windlass-ota/windlass/ota"
)

// commitScript runs a program: checks, then writes. Nothing is written before
// every check has held, as Redis rolls nothing back.
//
// Redis's log may end in the middle of what a script wrote, and Redis may carry
// that out later, when all this was told to have failed (aof.go). So records
// come last, all in one command, and what they follow from nothing is carried out
// half of them: what such an end leaves wrong follows from the records and is
// mended from them (mend.go). For the same reason each call writes at least two
// things: a write that stands alone behind a torn end may be dropped with it.
//
// KEYS[1] is the record, ARGV[1] the turn, ARGV[2] the version that the record
// must have (8 bytes, "" for none), ARGV[3] the tombstone's place in KEYS for a
// turn that deletes, else "", ARGV[4] the place of the list of what is written
// while a mending goes on (mend.go). Then come operations: a letter, the place of a key
// in KEYS, and what the letter asks for. It answers with one of the words below
// and, where the tenant's revision was raised, the new one.
const commitScript = `
local A, K, call = ARGV, KEYS, redis.call
local head = call('GETRANGE', K[1], 0, 23)
if string.sub(head, 9) == A[1] then return {'done'} end
if head == '' and A[3] ~= '' and call('GET', K[tonumber(A[3])]) == A[1] then return {'done'} end
if string.sub(head, 1, 8) ~= A[2] then return {'version'} end
local i, n, rev, letter = 5, #A, nil, nil
while i <= n do
  local op = A[i]
  if op == '.' then i = i + 1 break end
  local k = K[tonumber(A[i + 1])]
  if op == 'version' then
    if call('GETRANGE', k, 0, 7) ~= A[i + 2] then return {op} end
    i = i + 3
  elseif op == 'began' then
    local at = call('ZSCORE', k, A[i + 2])
    if not at or A[i + 3] ~= '' and tonumber(at) ~= tonumber(A[i + 3]) then return {op} end
    i = i + 4
  elseif op == 'lease' then
    local l = call('GET', k)
    if not l or string.sub(l, 1, #A[i + 2]) ~= A[i + 2] then return {op} end
    i = i + 3
  elseif op == 'revision' then
    local r = call('GET', k)
    if r and tonumber(r) > tonumber(A[i + 2]) then return {op} end
    i = i + 3
  elseif op == 'name' then
    local id = call('HGET', k, A[i + 2])
    if id and id ~= A[i + 3] then return {op} end
    i = i + 4
  elseif op == 'claim' then
    if not call('ZSCORE', k, A[i + 2]) then return {op} end
    i = i + 3
  elseif op == 'letter' then
    for _, text in ipairs(call('LRANGE', k, 0, -1)) do
      if string.sub(text, 1, #A[i + 2]) == A[i + 2] then letter = text break end
    end
    if not letter then return {op} end
    i = i + 3
  else
    return redis.error_reply('ERR commit: unknown check ' .. op)
  end
end
local sure, records, dels, undead = false, {}, {}, nil
local function count(k, field, by)
  sure = true
  local now = call('HINCRBY', k, field, by)
  if now == 0 then call('HDEL', k, field) end
  return now
end
while i <= n do
  local op, k = A[i], K[tonumber(A[i + 1])]
  if op == 'set' then
    records[#records + 1] = k
    records[#records + 1] = A[i + 2]
    i = i + 3
  elseif op == 'due' then call('ZADD', k, A[i + 2], A[i + 3]) i = i + 4
  elseif op == 'undue' then call('ZREM', k, A[i + 2]) i = i + 3
  elseif op == 'count' then count(k, A[i + 2], A[i + 3]) i = i + 4
  elseif op == 'bit' then
    call('SETBIT', k, A[i + 2], 1)
    count(K[tonumber(A[i + 3])], A[i + 4], 1)
    i = i + 5
  elseif op == 'unbit' then
    call('SETBIT', k, A[i + 2], 0)
    if count(K[tonumber(A[i + 3])], A[i + 4], -1) == 0 and call('BITCOUNT', k) == 0 then call('DEL', k) end
    i = i + 5
  elseif op == 'wait' then
    call('ZADD', k, A[i + 2], A[i + 3])
    call('SADD', K[tonumber(A[i + 4])], A[i + 5])
    i = i + 6
  elseif op == 'unwait' then
    call('ZREM', k, A[i + 2])
    if call('EXISTS', k) == 0 then call('SREM', K[tonumber(A[i + 3])], A[i + 4]) end
    i = i + 5
  elseif op == 'put' then
    sure = true
    call('HSET', k, A[i + 2], A[i + 3])
    i = i + 4
  elseif op == 'unput' then call('HDEL', k, A[i + 2]) i = i + 3
  elseif op == 'add' then call('SADD', k, A[i + 2]) i = i + 3
  elseif op == 'unadd' then call('SREM', k, A[i + 2]) i = i + 3
  elseif op == 'del' then
    dels[#dels + 1] = k
    i = i + 2
  elseif op == 'gone' then
    sure = true
    call('SET', k, A[i + 2], 'PX', A[i + 3])
    i = i + 4
  elseif op == 'raise' then
    sure = true
    if call('EXISTS', k) == 0 then call('SET', k, 1) end
    rev = call('INCR', k)
    i = i + 2
  elseif op == 'setrev' then
    local r = string.format('%.0f', rev)
    records[#records + 1] = k
    records[#records + 1] = A[i + 2] .. A[i + 3] .. string.char(#r) .. r
    i = i + 4
  elseif op == 'undead' then
    undead = k
    i = i + 2
  elseif op == 'dead' then
    sure = true
    if call('LPUSH', k, A[i + 2]) > tonumber(A[i + 3]) then
      call('LTRIM', k, 0, A[i + 3] - 1)
      call('HINCRBY', K[tonumber(A[i + 4])], A[i + 5], 1)
    end
    i = i + 6
  else
    return redis.error_reply('ERR commit: unknown write ' .. op)
  end
end
local mending = K[tonumber(A[4])]
if call('EXISTS', mending) == 1 then
  call('SADD', mending, K[1])
  for j = 1, #records, 2 do call('SADD', mending, records[j]) end
end
if not sure and A[2] ~= '' then call('SETRANGE', K[1], 0, A[2]) end
if #records == 2 then call('SET', records[1], records[2])
elseif #records > 2 then call('MSET', unpack(records)) end
if #dels > 0 then call('DEL', unpack(dels)) end
if undead then call('LREM', undead, -1, letter) end
if rev then return {'written', rev} end
return {'written'}
`

// What the script answers.
const (
	saidWritten  = "written"
	saidDone     = "done"     // the same turn was committed before
	saidVersion  = "version"  // somebody wrote a home since it was loaded
	saidBegan    = "began"    // what began the turn is gone
	saidLease    = "lease"    // the slot is another process's
	saidRevision = "revision" // assignments have changed since the target was chosen
	saidName     = "name"     // a unique name is taken
	saidClaim    = "claim"    // the reservation of a name was given up meanwhile
	saidLetter   = "letter"   // the dead letter that was retried is gone
)

const goneFor = "600000" // ms that a tombstone lasts: longer than any commit is sent again

// program is one call of commitScript.
type program struct {
	keys []string
	args []any
	tail []any // writes; checks go straight to args
}

func (p *program) begin(at place, turn ota.TurnID, version string) {
	p.key(at.key)
	p.args = append(p.args, string(turn), version, "", p.key(at.slot.mending()))
}

// key returns the place of a key among KEYS.
func (p *program) key(k string) int {
	for i, have := range p.keys {
		if have == k {
			return i + 1
		}
	}
	p.keys = append(p.keys, k)
	return len(p.keys)
}

// check adds one check, write one write, of key k with what the letter asks for.
func (p *program) check(op, k string, rest ...any) {
	p.args = append(append(p.args, op, p.key(k)), rest...)
}

func (p *program) write(op, k string, rest ...any) {
	p.tail = append(append(p.tail, op, p.key(k)), rest...)
}

// endOfChecks stands between args and tail.
var endOfChecks = []any{"."}

// score prints a number so that it comes back the same.
func score(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
