package httpload

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// Floor serves the raw parts that the transport is compared with, from the file
// at path, with nothing around them: no device, no token, no chain.
//
//	/tiny     a small JSON body
//	/own      the range that a request names, from pooled files by the kernel's own copying
//	/content  the same by [http.ServeContent] from a file opened each time
//
// A request that the load of this package would not send breaks its connection.
func Floor(path string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/tiny", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"shared":{}}`)
	})
	mux.HandleFunc("/content", func(w http.ResponseWriter, r *http.Request) {
		f := open(path)
		defer f.Close()
		http.ServeContent(w, r, "", time.Time{}, f)
	})
	files := sync.Pool{New: func() any { return open(path) }}
	mux.HandleFunc("/own", func(w http.ResponseWriter, r *http.Request) {
		f, _ := files.Get().(*os.File)
		defer files.Put(f)
		sendRange(w, r, f)
	})
	return mux
}

func open(path string) *os.File {
	f, err := os.Open(path)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return f
}

func sendRange(w http.ResponseWriter, r *http.Request, f *os.File) {
	var from, to int64
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
		panic(http.ErrAbortHandler)
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(to-from+1, 10))
	w.WriteHeader(http.StatusPartialContent)
	rf, ok := w.(io.ReaderFrom)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	if _, err := rf.ReadFrom(&io.LimitedReader{R: f, N: to - from + 1}); err != nil {
		panic(http.ErrAbortHandler)
	}
}
