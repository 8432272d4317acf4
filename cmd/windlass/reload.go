package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a folder of chains must be quiet before it is loaded again:
// editors write a file in several steps, and a checkout writes many files.
const settle = 300 * time.Millisecond

// watch loads the chains again whenever a file of their folder changes, and at
// SIGHUP, until ctx ends. What is bad changes nothing but what is said of it.
func (s *chainFolder) watch(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch chains: %w", err)
	}
	defer w.Close()
	if err := s.watchFolders(w); err != nil {
		return err
	}
	quiet := time.NewTimer(settle)
	quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			s.again(ctx)
		case <-quiet.C:
			if err := s.watchFolders(w); err != nil { // a folder may be new
				s.log.Warn("a folder of chains is not watched", "err", err)
			}
			s.again(ctx)
		case e := <-w.Events:
			if e.Op != fsnotify.Chmod {
				quiet.Reset(settle)
			}
		case err := <-w.Errors:
			s.log.Warn("changes of chains may go unseen; `windlass chains reload` loads them", "err", err)
		}
	}
}

func (s *chainFolder) again(ctx context.Context) {
	if _, err := s.Reload(ctx, "", false); err != nil {
		s.log.Warn("the chains could not be read again; those that ran go on", "err", err)
	}
}

// watchFolders watches the folder of chains and all below it.
func (s *chainFolder) watchFolders(w *fsnotify.Watcher) error {
	if s.dir == "" {
		return nil
	}
	return filepath.WalkDir(s.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return w.Add(p)
	})
}
