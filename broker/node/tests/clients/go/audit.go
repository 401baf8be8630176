package main

func audit(bootstrap, topic string) {}
