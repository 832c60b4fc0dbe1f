package checker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Write writes a log, with a line of JSON for each entry.
func Write[T Request | Push | Kill | Outage](w io.Writer, entries []T) error {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	for i := range entries {
		if err := encoder.Encode(&entries[i]); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// Read reads a log. An unknown member is an error, because a misspelt member would hide faults.
func Read[T Request | Push | Kill | Outage](r io.Reader) (entries []T, err error) {
	decoder := json.NewDecoder(bufio.NewReader(r))
	decoder.DisallowUnknownFields()
	for {
		var entry T
		switch err := decoder.Decode(&entry); {
		case errors.Is(err, io.EOF):
			return entries, nil
		case err != nil:
			return nil, fmt.Errorf("entry %d: %w", len(entries)+1, err)
		}
		entries = append(entries, entry)
	}
}

// WriteFile writes a log to a file.
func WriteFile[T Request | Push | Kill | Outage](path string, entries []T) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(Write(f, entries), f.Close())
}

// ReadFile reads a log from a file.
func ReadFile[T Request | Push | Kill | Outage](path string) ([]T, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := Read[T](f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return entries, nil
}

// CheckFiles judges logs in files. Without a file of kills, there were none.
func CheckFiles(homeserver, pushes, kills string) (Report, error) {
	requests, err := ReadFile[Request](homeserver)
	if err != nil {
		return Report{}, err
	}
	pushed, err := ReadFile[Push](pushes)
	if err != nil {
		return Report{}, err
	}
	var killed []Kill
	if kills != "" {
		if killed, err = ReadFile[Kill](kills); err != nil {
			return Report{}, err
		}
	}
	return Check(requests, pushed, killed), nil
}
