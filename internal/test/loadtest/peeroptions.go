package main

import (
	"errors"
	"flag"
	"net/url"
	"runtime"
	"strings"
)

// peerFlags defines the flags of another gateway.
func (o *options) peerFlags(f *flag.FlagSet) {
	f.Func("url", "measure another gateway, which is running and takes notifications at this `URL`, and pushes to this program", o.setURL)
	f.IntVar(&o.Listen, "listen", 8443, "with -url: first `port` of 127.0.0.1 for its push service; each of -hosts has the next one; 0 means any")
	f.StringVar(&o.Files, "files", "", "with -url: `folder` for the keys that it needs, which are kept (default: in the user's cache)")
	f.IntVar(&o.PID, "pid", 0, "with -url: its process (default: the one that listens on the URL's port)")
}

// setURL reads the flag -url.
func (o *options) setURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || !strings.HasSuffix(u.Path, notifyPath) {
		return errors.New("it must be a URL such as http://127.0.0.1:5000" + notifyPath)
	}
	o.URL = u
	return nil
}

// checkPeer checks the flags of another gateway.
func (o *options) checkPeer(f *flag.FlagSet) error {
	var errs []error
	f.Visit(func(set *flag.Flag) {
		switch set.Name {
		case "listen", "files", "pid":
			if o.URL == nil {
				errs = append(errs, errors.New("-"+set.Name+" needs -url"))
			}
		case "xmpp", "idle", "records":
			if o.URL != nil {
				errs = append(errs, errors.New("-url excludes -"+set.Name))
			}
		}
	})
	for _, wrong := range []struct {
		is   bool
		text string
	}{
		{o.URL != nil && runtime.GOOS != "linux", "-url needs Linux, because it reads CPU and memory from /proc"},
		{o.URL != nil && o.Provider == rejected, "-url excludes -provider rejected, because another gateway need not remember rejections"},
		{o.URL != nil && o.HTTP2 && o.URL.Scheme == "http", "-http2 needs TLS, and -url is without it"},
		{o.Listen < 0 || o.Listen > 65535-o.Hosts, "-listen must be from 0 to 65535, with a port for each of -hosts"},
		{o.PID < 0, "-pid is negative"},
	} {
		if wrong.is {
			errs = append(errs, errors.New(wrong.text))
		}
	}
	return errors.Join(errs...)
}
