package mqttload

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/windlass-ota/windlass/internal/mqttwire"
)

// Bare answers every chunk request that comes in on ln with the same bytes from
// memory, and every QoS 1 publish with its acknowledgement: no device, no
// limits, no order of turns, nothing stored. It is what MQTT in Go costs at
// least. It returns when ln is closed and all its connections have ended.
func Bare(ln net.Listener, chunk []byte) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		nc, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("mqttload: accept: %w", err)
		}
		all.Go(func() {
			defer nc.Close()
			serveBare(nc, chunk)
		})
	}
}

func serveBare(nc net.Conn, chunk []byte) {
	in, out := make([]byte, 0, 64<<10), make([]byte, 0, 64<<10)
	var p mqttwire.Publish
	for {
		n, err := nc.Read(in[len(in):cap(in)])
		if err != nil {
			return
		}
		in = in[:len(in)+n]
		used := 0
		for {
			f, size, err := mqttwire.Split(in[used:], mqttwire.V311, 1<<16)
			if err != nil {
				return
			}
			if size == 0 || len(in)-used < size {
				break
			}
			used += size
			if out, err = answerBare(nc, f, &p, out, chunk); err != nil {
				return
			}
		}
		in = in[:copy(in, in[used:])]
		if len(out) > 0 {
			if _, err := nc.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
	}
}

var requested, responded = []byte("/request/"), []byte("/response/")

func answerBare(nc net.Conn, f mqttwire.Frame, p *mqttwire.Publish, out, chunk []byte) ([]byte, error) {
	switch f.Type {
	case mqttwire.CONNECT:
		return append(out, 0x20, 2, 0, 0), nil
	case mqttwire.SUBSCRIBE:
		return append(out, 0x90, 3, f.Body[0], f.Body[1], 1), nil
	case mqttwire.PINGREQ:
		return append(out, 0xd0, 0), nil
	case mqttwire.PUBLISH:
	default:
		return out, nil
	}
	if err := p.Decode(f, mqttwire.V311); err != nil {
		return out, err
	}
	if p.QoS == 1 {
		out = append(out, 0x40, 2, byte(p.PacketID>>8), byte(p.PacketID))
	}
	before, after, ok := bytes.Cut(p.Topic, requested)
	if !ok {
		return out, nil
	}
	var topic [128]byte
	reply := mqttwire.Publish{Topic: append(append(append(topic[:0], before...), responded...), after...)}
	out, err := reply.AppendHeader(out, mqttwire.V311, len(chunk))
	if err != nil {
		return out, err
	}
	_, err = (&net.Buffers{out, chunk}).WriteTo(nc)
	return out[:0], err
}
