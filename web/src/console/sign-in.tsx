import { useEffect, useRef, type ReactNode } from 'react';

interface Props {
  isRefused: boolean;
  onToken: (token: string) => void;
}

export function SignIn({ isRefused, onToken }: Props): ReactNode {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  return (
    <main className="sign-in">
      <div className="brand">
        <img src="/icon.svg" alt="" width={28} height={28} />
        <h1>Mooring console</h1>
      </div>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const token = field.current?.value.trim();
          if (token) onToken(token);
        }}
      >
        <label htmlFor="token">Admin token</label>
        <input
          id="token"
          ref={field}
          data-testid="token"
          type="password"
          autoComplete="off"
          spellCheck={false}
          required
          aria-invalid={isRefused}
          aria-describedby="token-hint"
        />
        <p id="token-hint" className="hint">
          The value of <code>ADMIN_TOKEN</code>. This tab keeps it until it is closed.
        </p>
        <p role="alert" className="bad" data-testid="refused">
          {isRefused &&
            'This token is not accepted. After many wrong ones even the right one is not, for some seconds.'}
        </p>
        <button type="submit" className="main" data-testid="sign-in">
          Sign in
        </button>
      </form>
    </main>
  );
}
