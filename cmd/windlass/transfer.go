package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

func packageUpload() *cobra.Command {
	c := &cobra.Command{
		Use: "upload FILE", Short: "Upload a package", Args: args("FILE"),
		Long: "Uploads a file as a package. The server computes its checksum (SHA256 unless told otherwise); with --checksum it refuses a file\n" +
			"that has another one. Uploading the same again succeeds.",
	}
	var m api.PackageMeta
	labels := metaFlags(c, &m)
	kind := kindFlag(c, "firmware", "of which type")
	format := outputFlag(c)
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		if _, err := pairs("label", *labels); err != nil {
			return err
		}
		m.Type = *kind
		p, err := upload(c, cl, a[0], m, *labels)
		if err != nil {
			return err
		}
		return show(c, *format, p, func() *table { return packageTable(p) })
	})
}

// upload sends a file. The server refuses what it can before the first byte.
func upload(c *cobra.Command, cl *client, file string, m api.PackageMeta, labels []string) (p api.Package, err error) {
	f, err := os.Open(file)
	if err != nil {
		return p, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return p, err
	}
	if !info.Mode().IsRegular() {
		return p, fmt.Errorf("%s is no file", file)
	}
	if info.Size() == 0 {
		return p, fmt.Errorf("%s is empty", file)
	}
	q := url.Values{"title": {m.Title}, "version": {m.Version}, "profile": {m.Profile}, "type": {m.Type}, "fileName": {filepath.Base(file)}}
	for k, v := range map[string]string{"tag": m.Tag, "description": m.Description, "checksumAlgorithm": m.ChecksumAlgorithm, "checksum": m.Checksum} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if len(labels) > 0 {
		q["label"] = labels
	}
	bar := newProgress(c, "upload", info.Size(), true)
	defer bar.end()
	r, err := cl.request(c.Context(), http.MethodPost, path("packages"), q, io.NopCloser(bar.reader(io.LimitReader(f, info.Size()))))
	if err != nil {
		return p, err
	}
	r.ContentLength = info.Size()
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("Expect", "100-continue")
	resp, err := cl.send(r)
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	return p, json.NewDecoder(resp.Body).Decode(&p)
}

func packageDownload() *cobra.Command {
	c := &cobra.Command{
		Use: "download TITLE@VERSION", Short: "Download the bytes of a package", Args: args("TITLE@VERSION"),
		Long: "Downloads a package and checks its digest. Without -o the file is called as it was at its upload, and must not be there yet.",
	}
	to := c.Flags().StringP("output", "o", "", "the file to write; - for standard output")
	return clientVerb(c, func(c *cobra.Command, cl *client, a []string) error {
		r, err := cl.request(c.Context(), http.MethodGet, path("packages", a[0], "content"), nil, nil)
		if err != nil {
			return err
		}
		resp, err := cl.send(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		bar := newProgress(c, "download", resp.ContentLength, true)
		defer bar.end()
		sum := sha256.New()
		body := io.TeeReader(bar.reader(resp.Body), sum)
		check := func() error {
			if got, want := hex.EncodeToString(sum.Sum(nil)), strings.Trim(resp.Header.Get("ETag"), `"`); got != want {
				return fmt.Errorf("what arrived has the digest %s, not %s", got, want)
			}
			return nil
		}
		if *to == "-" {
			if _, err := io.Copy(c.OutOrStdout(), body); err != nil {
				return err
			}
			return check()
		}
		file, err := downloadName(*to, resp)
		if err != nil {
			return err
		}
		if err := writeFile(file, body, check); err != nil {
			return err
		}
		bar.end()
		return done(c, "%s", file)
	})
}

// downloadName is the file to write to. What the server calls it is a bare name
// here, whatever it says.
func downloadName(said string, resp *http.Response) (string, error) {
	if said != "" {
		return said, nil
	}
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	name := filepath.Base(filepath.Clean("/" + strings.ReplaceAll(params["filename"], `\`, "/")))
	if err != nil || name == "/" || name == "." || strings.HasPrefix(name, ".") {
		return "", wrongUsage("the package has no file name that is good here; give one by -o")
	}
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is there already; give another name by -o", name)
	}
	return name, nil
}

// writeFile writes beside the file and puts it in place when all is well.
func writeFile(file string, r io.Reader, check func() error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // it is gone where all went well
	_, err = io.Copy(tmp, r)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	if err := check(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
