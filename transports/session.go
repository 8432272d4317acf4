package transports

import "github.com/windlass-ota/windlass/ota"

// Session is one open connection of a device, or one poll that waits, as the
// [Router] sees it. The transport that holds it implements it; all methods are
// called from any goroutine.
type Session interface {
	// Device is whose it is; it never changes.
	Device() ota.Ref
	// ID names it; see [Router.NewID].
	ID() ota.SessionID
	// Wants says whether the session would take such a word now: what its
	// device has subscribed to, or what its poll waits for.
	Wants(w ota.Word) bool
	// Say hands over words that it wants, in their order, to be written out
	// soon. It does not wait for a slow device: false means that none of them
	// was taken, because the session is closing or has too many unsaid.
	Say(words []ota.Reply) (took bool)
}

// IsAttributes says whether ThingsBoard's API has w said as a push of shared
// attributes: an offer and its withdrawal are nothing else there.
func IsAttributes(w ota.Word) bool {
	return w == ota.SayAttributes || w == ota.SayOffer || w == ota.SayCancel
}
