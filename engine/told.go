package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// finished posts update_finished for what this turn has ended, once for every
// chain that wants to hear of it, so that each hears it once whatever becomes of
// the others.
func (e *Engine) finished(was, home *ota.Home, profile *ota.Profile, now time.Time) {
	if home.Device == nil {
		return
	}
	for _, k := range ota.Kinds() {
		u, old := home.Device.Track(k).Update, was.Device.Track(k).Update
		if u == nil || !u.State.Final() || old != nil && old.ID == u.ID && old.State == u.State {
			continue
		}
		e.Set().Observers(ota.UpdateFinished, nameOf(profile), k, func(c *Chain, _ *Trigger) {
			home.Post(ota.Pending{At: now, Event: ota.UpdateFinished, Chain: c.Name, Kind: k, State: u.State, Rollout: u.Rollout})
		})
	}
}

func nameOf(p *ota.Profile) string {
	if p == nil {
		return ""
	}
	return p.Name
}

// told logs the moves of updates, which is all that a turn says at Info.
func (e *Engine) told(ctx context.Context, c *Chain, was, home *ota.Home) {
	if home.Device == nil || !e.Log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	for _, k := range ota.Kinds() {
		u, old := home.Device.Track(k).Update, was.Device.Track(k).Update
		if u == nil || old != nil && old.ID == u.ID && old.State == u.State && old.Closed == u.Closed {
			continue
		}
		e.Log.Info("update moved", "device", home.Device.Name, "kind", k, "update", u.ID, "state", u.State, "closed", u.Closed, "target", u.Target.String(), "chain", c.Name, "error", u.Error)
	}
}

// say lets words go to the home's device. Where nobody hears them, the sessions
// of other processes are gone with those processes: they are closed, so that the
// device counts as away.
func (e *Engine) say(ctx context.Context, ref ota.Ref, home *ota.Home, words []ota.Reply) {
	if len(words) == 0 || e.Sender == nil || home.Device == nil {
		return
	}
	heard, err := e.Sender.Send(ctx, words)
	if err != nil {
		e.Log.Warn("words to a device are lost", "device", home.Device.Name, "err", err)
	}
	if heard || err != nil {
		return
	}
	for i := range words {
		if words[i].Word == ota.SayRPC && words[i].Call != 0 {
			e.forgotten.Add(1)
			go e.unheard(context.WithoutCancel(ctx), ref, words[i].Call)
		}
	}
	for _, s := range home.Device.Sessions {
		if s.ID.Process != e.Process {
			e.forgotten.Add(1)
			go e.forget(context.WithoutCancel(ctx), ref, s.ID) // it waits for this turn's lock
		}
	}
}

func (e *Engine) forget(ctx context.Context, ref ota.Ref, id ota.SessionID) {
	defer e.forgotten.Done()
	_, err := e.move(ctx, ota.Message{Event: ota.Disconnected, Tenant: ref.Tenant, Device: ota.DeviceID(ref.ID), Session: id}, ref, nil)
	if err != nil {
		e.Log.Warn("a session that is gone stays noted", "device", ref.ID, "err", err)
	}
}

// unheard tells the run that waits for the answer to a call that there will be
// none.
func (e *Engine) unheard(ctx context.Context, ref ota.Ref, call int64) {
	defer e.forgotten.Done()
	m := ota.Message{Event: ota.RPCAnswered, Tenant: ref.Tenant, Device: ota.DeviceID(ref.ID), Call: call, Cause: ota.Unheard}
	_, err := e.move(ctx, m, ref, func(_ context.Context, _ ota.Facts, h *ota.Home, m ota.Message) (job, error) {
		return job{msg: m, skip: !awaits(h, ota.RPCAnswered)}, nil // no chain hears of it
	})
	if err != nil {
		e.Log.Warn("a call that nobody heard is waited for", "device", ref.ID, "err", err)
	}
}

// Wait returns when everything that the engine began by itself has ended. Call
// it after the last Handle.
func (e *Engine) Wait() { e.forgotten.Wait() }
