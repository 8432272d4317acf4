package sim

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/internal/coapx"
)

// receive hands in what comes until the connection ends.
func receive(from net.Conn, to *coapx.Conn) {
	b := make([]byte, 8<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			var soft net.Error
			if errors.As(err, &soft) { // such as nobody listening yet
				select {
				case <-to.Done():
					return
				case <-time.After(5 * time.Millisecond):
				}
				continue
			}
			return
		}
		to.Receive(b[:n])
	}
}

// lossy loses a share of the datagrams, either way, and sleeps.
type lossy struct {
	net.Conn
	share float64
	awake time.Duration // after its own word, for which it hears; 0: always

	mu     sync.Mutex
	spoken time.Time
}

func (l *lossy) lost() bool { return l.share > 0 && rand.Float64() < l.share }

// asleep says whether what comes now is not heard.
func (l *lossy) asleep() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.awake > 0 && time.Since(l.spoken) > l.awake
}

func (l *lossy) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.spoken = time.Now()
	l.mu.Unlock()
	if l.lost() {
		return len(b), nil
	}
	return l.Conn.Write(b)
}

func (l *lossy) Read(b []byte) (int, error) {
	for {
		n, err := l.Conn.Read(b)
		if err != nil || !l.lost() && !l.asleep() {
			return n, err
		}
	}
}
