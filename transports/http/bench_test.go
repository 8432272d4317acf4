package http

func benchServer(string) {}
