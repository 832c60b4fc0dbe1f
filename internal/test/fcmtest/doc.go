// Package fcmtest is a fake of Google's FCM HTTP v1 API and of its OAuth token endpoint, for tests. It verifies what it receives as
// strictly as Google documents, and answers as Google does.
package fcmtest
