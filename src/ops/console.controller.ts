import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Controller, Get, NotFoundException, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { Config } from '../config.js';

/** Where the build puts what is not served to everybody: static files never come from a folder with such a name. */
const FOLDER = new URL('../../web/dist/.console/', import.meta.url);

/** Stricter than the chat's: it speaks HTTP with this server, and runs and shows its own files. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export function consoleFile(name: string): string {
  return fileURLToPath(new URL(name, FOLDER));
}

/**
 * The shell of the admin page. It holds nothing and asks for the token, so it stands outside of `/admin`, where
 * nothing answers without one. Without `ADMIN_TOKEN` it is not there either.
 */
@Controller('console')
export class ConsoleController {
  constructor(private readonly config: Config) {}

  @Get()
  async shell(@Req() { url }: Request, @Res({ passthrough: true }) response: Response): Promise<string> {
    if (this.config.adminToken === undefined) throw new NotFoundException(`Cannot GET ${url}`);
    const shell = await readFile(consoleFile('index.html'), 'utf8');
    // Only now: a path that is not there is told in the same words and headers everywhere.
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY);
    response.setHeader('Cache-Control', 'no-cache');
    return shell;
  }
}
