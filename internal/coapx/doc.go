// Package coapx is CoAP between two peers that both ask and answer, as LwM2M has
// it: requests with retransmission, piggybacked and separate responses,
// duplicates, observation both ways, and bodies in blocks of any size (RFC 7252,
// 7641, 7959). The bytes are go-coap's.
//
// It stands on anything that carries datagrams, so UDP, DTLS and a test are the
// same to it. Connections of go-coap itself would do the exchanges, too; they
// keep each response for 247 seconds and walk all of them with every datagram,
// retransmit by a clock of their own, and hold a body whole. Here a peer costs
// little, a block knows when it was acknowledged, and an interval between
// retransmissions follows from the round trips that were measured.
package coapx

import (
	"errors"
	"time"
)

// Config is how long what takes. A zero member means its default.
type Config struct {
	AckTimeout time.Duration // to the first retransmission; default 2 s (RFC 7252, section 4.8)
	GiveUp     time.Duration // without any word from the peer; default 31 × AckTimeout, as four retransmissions make it
	Answer     time.Duration // for a response after the request was acknowledged; default 2 minutes
	Separate   time.Duration // after which a request is acknowledged before its response; default AckTimeout / 2
	MaxBody    int           // bytes of a body that is put together from blocks; default 64 KiB
	// Part hears of each block of a body that the peer sends, with how many bytes
	// have come before it; false refuses it. May be nil.
	Part    func(m *Message, off int64) bool
	Backlog int // requests and notifications of the peer that wait; default 64
}

func (c Config) filled() Config {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.AckTimeout, 2*time.Second)
	def(&c.GiveUp, 31*c.AckTimeout)
	def(&c.Answer, 2*time.Minute)
	def(&c.Separate, c.AckTimeout/2)
	if c.MaxBody <= 0 {
		c.MaxBody = 64 << 10
	}
	if c.Backlog <= 0 {
		c.Backlog = 64
	}
	return c
}

// How an exchange fails without a response.
var (
	ErrSilent = errors.New("coap: the peer does not answer")
	ErrReset  = errors.New("coap: the peer does not know what was sent")
	ErrClosed = errors.New("coap: the connection is closed")
	ErrBody   = errors.New("coap: a body in blocks that do not fit together")
)
