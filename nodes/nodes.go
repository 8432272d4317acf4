// Package nodes holds the built-in node types, one in each file. A node turns
// one rule of package ota into a step of a chain: it reads its settings, asks
// the rule, names what shall leave and says by which outlet the run goes on.
//
// Nodes know no wire form, no store and no other node. What happens when is the
// chains' affair.
package nodes

import "github.com/windlass-ota/windlass/engine"

// All lists the built-in node types, in the order of the catalogue: updates,
// rollouts, packages and devices, flow, wire, outside. The flow words of the
// language are the engine's own.
func All(d engine.Deps) []engine.Factory {
	return []engine.Factory{
		ResolvePackage(),
		CheckRequest(),
		CheckCompatibility(),
		CheckVersion(),
		CheckUpdate(),
		CheckOffer(),
		EnqueueUpdate(),
		SkipUpdate(),
		AdmitUpdate(d.Doors),
		TakeSlot(d.Slots),
		HoldUpdate(),
		OfferUpdate(),
		PushOffer(),
		ApplyUpdate(),
		UpdateStatus(),
		VerifyVersion(),
		RetryUpdate(),
		FailUpdate(),
		CancelUpdate(),
		ClearOffer(),
		RollbackUpdate(),
		SendChunk(),
		ReadChunk(d.Blobs),
		CreateDownloadURL(d.Links),
		AssignPackage(d.Wishes),
		UnassignPackage(d.Wishes),
		RunStage(),
		PauseRollout(),
		CancelRollout(),
		RollbackRollout(d.Wishes),
		OpenApproval(d.Links),
		AwaitApproval(),
		FindPackage(d.Lister),
		QuarantinePackage(),
		ReleasePackage(d.Logger),
		FindDevice(),
		CreateDevice(d.Wishes),
		SaveTelemetry(),
		GetAttributes(d.Fresh),
		SetAttributes(),
		DeleteAttributes(),
		PushAttributes(),
		ReplyAttributes(),
		SendRPC(),
		ChangeGroup(),
		ForEachDevice(),
		Filter(),
		Retry(),
		Dedupe(),
		Throttle(d.Rates),
		Window(),
		Delay(),
		WaitFor(),
		Fail(),
		DeadLetter(),
		MQTTIn(),
		HTTPIn(),
		ScheduleIn(),
		MQTTOut(d.Brokers),
		HTTPRequest(d.Calls),
		Reply(),
		ReplyError(),
		Log(d.Logger),
		Metric(d.Metrics),
		RaiseAlarm(),
		ClearAlarm(),
	}
}
