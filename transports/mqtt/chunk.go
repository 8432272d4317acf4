package mqtt

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

// The words of v2/fw/error (ThingsBoard MQTT device API).
const (
	sayTooLarge = "PAYLOAD_TOO_LARGE"
	sayNotFound = "NOT_FOUND"
	sayFailure  = "FAILURE"
)

// maxDownloads bounds the request numbers whose sizes and packages a connection
// remembers; the one unused for longest is forgotten first. Clients use one
// number for each download, or one for each chunk with its size said each time.
const maxDownloads = 16

// download is what a connection remembers of a request number. Firmware and
// software have numbers of their own.
type download struct {
	kind ota.Kind
	id   int32
	size int32         // of a chunk, as last said; 0: everything
	pkg  ota.PackageID // bound by the first success: a new assignment does not change a running download
}

// downloads are those of one device, the latest at the end.
type downloads []download

// of returns the download of a request.
func (all *downloads) of(t target) *download {
	d := *all
	at := slices.IndexFunc(d, func(d download) bool { return d.id == t.id && d.kind == t.kind })
	last := len(d) - 1
	switch {
	case at >= 0 && at == last:
	case at >= 0:
		was := d[at]
		d = append(slices.Delete(d, at, at+1), was)
	case len(d) == maxDownloads:
		d = append(slices.Delete(d, 0, 1), download{kind: t.kind, id: t.id})
	default:
		d = append(d, download{kind: t.kind, id: t.id})
	}
	*all = d
	return &d[len(d)-1]
}

// chunk answers a request for a piece of a package. The request is acknowledged
// before the data and not at all when it fails (ThingsBoard MQTT device API). by
// is the device that a gateway asks for, nil where the device asks itself.
func (c *conn) chunk(s *scratch, p *mqttwire.Publish, t target, by *brought) error {
	size, err := chunkSize(p.Payload)
	if err != nil {
		return errPayload
	}
	if size > int64(c.t.cfg.MaxPayload) {
		return c.chunkFails(s, t, by, sayTooLarge)
	}
	all := &c.chunks
	if by != nil {
		all = &by.chunks
	}
	d := all.of(t)
	if size > 0 {
		d.size = int32(size)
	}
	m := c.message(ota.ChunkRequested)
	if by != nil {
		m = by.message(ota.ChunkRequested)
	}
	m.Kind, m.Size, m.Chunk, m.Bound = t.kind, int64(d.size), int64(t.chunk), d.pkg
	replies, err := c.t.handler.Handle(c.turns, m)
	if err != nil {
		return c.chunkRefused(s, t, by, ota.CodeOf(err))
	}
	for _, r := range replies {
		switch r.Word {
		case ota.SayChunk:
			return c.sendChunk(s, p, t, by, d, r.Section)
		case ota.SayError:
			return c.chunkRefused(s, t, by, r.Code)
		}
		c.t.counts.dropped.Add(1)
	}
	return c.chunkRefused(s, t, by, ota.Internal) // an ask that nobody answered
}

// sendChunk leaves the packet in s: a small chunk whole, so that several share a
// write, of a larger one all but its bytes, which go out behind from their file.
func (c *conn) sendChunk(s *scratch, p *mqttwire.Publish, t target, by *brought, d *download, section ota.Section) error {
	before := len(s.out)
	c.acknowledge(s, p, mqttwire.Success)
	ack := len(s.out)
	feed := feedFirmware
	if t.kind == ota.Software {
		feed = feedSoftware
	}
	if s.topic = s.topic[:0]; by == nil {
		s.topic = appendChunkTopic(s.topic, t)
	} else { // as it was asked for: v1/gateway/fw/response/…
		const kind = len("v1/gateway/fw/")
		s.topic = append(append(append(s.topic, p.Topic[:kind]...), "response"...), p.Topic[kind+len("request"):]...)
	}
	s.reply = mqttwire.Publish{Topic: s.topic}
	form := formShort
	if by != nil {
		form = formLong
	}
	s.reply.QoS, s.reply.PacketID = c.say.delivery(feed, form)
	out, err := s.reply.AppendHeader(s.out, c.version, int(min(section.Len, mqttwire.MaxRemaining)))
	if err != nil || int64(len(out)-ack)+section.Len > int64(c.maxOut) {
		s.out = s.out[:before]
		return c.chunkFails(s, t, by, sayTooLarge) // more than MQTT, or this client, takes in one packet
	}
	s.out = out
	if err := c.attach(s, section); err != nil {
		s.out = s.out[:before]
		c.t.log.Warn("mqtt chunk not readable", "device", c.device.ID, "package", section.Package.Version.String(), "error", err)
		return c.chunkRefused(s, t, by, ota.CodeOf(err))
	}
	d.pkg = section.Package.ID
	return nil
}

// spliceFrom is the size from which a chunk is cheaper sent from its file than
// copied.
const spliceFrom = 8 << 10

func (c *conn) attach(s *scratch, section ota.Section) error {
	if section.Len == 0 {
		return nil
	}
	file, err := c.t.files.Open(c.turns, section.Package.Blob)
	if err != nil {
		return err
	}
	if section.Len >= spliceFrom {
		s.file, s.section = file, section
		return nil
	}
	defer file.Close()
	n := len(s.out)
	s.out = slices.Grow(s.out, int(section.Len))[:n+int(section.Len)]
	if got, err := file.ReadAt(s.out[n:], section.Off); got < int(section.Len) {
		return fmt.Errorf("read %d bytes at %d: %w", section.Len, section.Off, err)
	}
	return nil
}

// chunkRefused says a code in the words of the API. What may be right in a
// moment is not said: the device asks again when it has connected again.
func (c *conn) chunkRefused(s *scratch, t target, by *brought, code ota.Code) error {
	switch code {
	case ota.Busy:
		return errBusy
	case ota.NotFound:
		return c.chunkFails(s, t, by, sayNotFound)
	}
	return c.chunkFails(s, t, by, sayFailure)
}

// chunkFails publishes an error and ends the connection with it, save that of a
// gateway, which speaks for others, too.
func (c *conn) chunkFails(s *scratch, t target, by *brought, word string) error {
	if by != nil {
		c.acknowledge(s, &s.publish, mqttwire.ImplementationSpecific)
		s.topic = append(s.topic[:0], gatewayError...)
		c.say1(s, feedError, formLong, gatewayFails(t, by.name, word))
		return nil
	}
	s.topic = append(s.topic[:0], errorTopic...)
	c.say1(s, feedError, formShort, []byte(word))
	return errChunkFails
}

var errChunkSize = errors.New("mqtt: chunk size is not a decimal number of 32 bits")

// chunkSize reads the payload of a chunk request. 0 means that nothing, or
// nothing usable, was said: the size said before holds.
func chunkSize(payload []byte) (int64, error) {
	if len(payload) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(payload), 10, 32)
	if err != nil {
		return 0, errChunkSize
	}
	return max(n, 0), nil
}
